"""Unit health over HTTP: how usage spreads over the tiers of plans, and what is silent."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantListView
from aforo.money import plain
from metering.models import UnitHealth
from metering.selectors.unit_health import told_tier, unit_health


class TierShare(WireSerializer):
    """One tier: subscriptions and customers that end in it, units that fall into it."""

    from_quantity = serializers.CharField(help_text="not included")
    to_quantity = serializers.CharField(allow_null=True, help_text="included; null: no end")
    subscriptions = serializers.IntegerField()
    customers = serializers.IntegerField()
    quantity = serializers.CharField()
    percent_of_customers = serializers.CharField(allow_null=True)
    percent_of_units = serializers.CharField(allow_null=True)


class UnitHealthRow(WireModelSerializer):
    """Of the periods that were open at `asOf`; shares are null where nothing was used."""

    unit = serializers.CharField(source="unit.name")
    rate_plan_id = serializers.UUIDField(source="version.rate_plan_id", default=None)
    rate_plan = serializers.CharField(source="version.rate_plan.name", default=None)
    version = serializers.IntegerField(source="version.number", default=None)
    quantity = serializers.SerializerMethodField()
    tiers = serializers.SerializerMethodField()

    class Meta:
        model = UnitHealth
        fields = (
            "id",
            "unit_id",
            "unit",
            "rate_plan_id",
            "rate_plan",
            "version_id",
            "version",
            "status",
            "last_event_at",
            "quantity",
            "subscriptions",
            "customers",
            "tiers",
            "as_of",
        )
        read_only_fields = fields

    def get_quantity(self, health: UnitHealth) -> str:
        return plain(health.quantity)

    @extend_schema_field(TierShare(many=True))
    def get_tiers(self, health: UnitHealth) -> list[dict[str, Any]]:
        return [told_tier(tier, health) for tier in health.tiers]


class UnitHealthFilter(filters.FilterSet):
    unitId = filters.UUIDFilter("unit_id")  # noqa: N815 - its name on the wire
    versionId = filters.UUIDFilter("version_id")  # noqa: N815
    status = filters.ChoiceFilter(choices=UnitHealth.Status.choices)


class UnitHealthView(TenantListView):
    """Each unit in each plan version that somebody is on, as of the last hour."""

    selector = unit_health
    serializer_class = UnitHealthRow
    filterset_class = UnitHealthFilter
