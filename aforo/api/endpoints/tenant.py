"""The tenant of the key that asks."""

from datetime import datetime

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.endpoints.api_keys import environment_of
from aforo.api.serializers import WireModelSerializer
from aforo.api.views import TenantAPIView
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant


class TenantSerializer(WireModelSerializer):
    environment = serializers.SerializerMethodField()
    now = serializers.SerializerMethodField(help_text="on the tenant's own clock")

    class Meta:
        model = Tenant
        fields = (
            "id",
            "slug",
            "name",
            "environment",
            "currency",
            "time_zone",
            "country",
            "unknown_metric",
            "late_policy",
            "settlement_delay",
            "now",
            "clock_frozen_at",
            "created_at",
        )
        read_only_fields = fields

    def get_environment(self, tenant: Tenant) -> str:
        return environment_of(tenant)

    def get_now(self, tenant: Tenant) -> datetime:
        return clock.now(tenant)


class OwnTenant(TenantAPIView):
    """The tenant that the key belongs to."""

    serializer_class = TenantSerializer

    def get(self, request: Request) -> Response:
        return self.answer(self.tenant)
