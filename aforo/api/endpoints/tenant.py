"""The tenant of the key that asks."""

from datetime import datetime

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.endpoints.api_keys import environment_of
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.roles import MEMBER_WRITERS
from aforo.tenancy.services import tenants


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
            "dead_letter_days",
            "dead_letter_threshold",
            "session_summaries",
            "access_fallback",
            "now",
            "clock_frozen_at",
            "created_at",
        )
        read_only_fields = fields

    def get_environment(self, tenant: Tenant) -> str:
        return environment_of(tenant)

    def get_now(self, tenant: Tenant) -> datetime:
        return clock.now(tenant)


class TenantEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    country = serializers.CharField(max_length=2, required=False, allow_blank=True)
    unknown_metric = serializers.ChoiceField(Tenant.UnknownMetric.choices, required=False)
    late_policy = serializers.ChoiceField(Tenant.LatePolicy.choices, required=False)
    settlement_delay = serializers.DurationField(
        required=False, help_text="`HH:MM:SS`, or `D HH:MM:SS`"
    )
    dead_letter_days = serializers.IntegerField(
        min_value=1, max_value=36_500, required=False, allow_null=True, help_text="null: never"
    )
    dead_letter_threshold = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, allow_null=True, help_text="null: never"
    )
    session_summaries = serializers.BooleanField(
        required=False, help_text="one event with the sums of each closed session"
    )
    access_fallback = serializers.ChoiceField(
        Tenant.AccessFallback.choices,
        required=False,
        help_text="what access checks answer while nothing can be known of a customer",
    )


class OwnTenant(TenantAPIView):
    """The tenant that the key belongs to."""

    serializer_class = TenantSerializer
    write_roles = MEMBER_WRITERS

    def get(self, request: Request) -> Response:
        return self.answer(self.tenant)

    @extend_schema(request=TenantEdits)
    def patch(self, request: Request) -> Response:
        """Change some settings; the currency and the clock are not among them."""
        changed = tenants.change_settings(
            tenant=self.tenant, settings=self.read(TenantEdits), actor=self.actor, now=self.now()
        )
        return self.answer(changed)
