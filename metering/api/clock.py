"""The clock of a sandbox over HTTP: read, frozen, advanced, let go."""

from datetime import datetime

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.entities import entity_response
from aforo.api.serializers import WireSerializer
from aforo.api.views import TenantAPIView
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from metering.services import clocks


class FreezeClock(WireSerializer):
    at = serializers.DateTimeField(help_text="where the clock stops")


class AdvanceClock(WireSerializer):
    to = serializers.DateTimeField(help_text="a time not before the clock's own")


class ClockSerializer(WireSerializer):
    now = serializers.DateTimeField()
    frozen = serializers.BooleanField()
    sandbox = serializers.BooleanField()


class Clock(TenantAPIView):
    """The tenant's clock."""

    serializer_class = ClockSerializer
    replays_answers = False  # moving a clock where it stands changes nothing

    @extend_schema(responses=ClockSerializer)
    def get(self, request: Request) -> Response:
        return self.told(self.tenant)

    def told(self, tenant: Tenant) -> Response:
        shown: dict[str, datetime | bool] = {
            "now": clock.now(tenant),
            "frozen": tenant.clock_frozen_at is not None,
            "sandbox": tenant.is_sandbox,
        }
        return entity_response(ClockSerializer(shown).data)


class ClockFreeze(Clock):
    """Stopping the clock."""

    @extend_schema(request=FreezeClock, responses=ClockSerializer)
    def post(self, request: Request) -> Response:
        at = self.read(FreezeClock)["at"]
        return self.told(clocks.freeze(tenant=self.tenant, at=at, actor=self.actor))


class ClockAdvance(Clock):
    """Moving the clock on."""

    @extend_schema(request=AdvanceClock, responses=ClockSerializer)
    def post(self, request: Request) -> Response:
        to = self.read(AdvanceClock)["to"]
        return self.told(clocks.advance(tenant=self.tenant, to=to, actor=self.actor))


class ClockUnfreeze(Clock):
    """Letting the clock run."""

    @extend_schema(request=None, responses=ClockSerializer)
    def post(self, request: Request) -> Response:
        return self.told(clocks.unfreeze(tenant=self.tenant, actor=self.actor))
