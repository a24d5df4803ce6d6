"""The shapes of margin guards on the wire."""

from typing import Any

from rest_framework import serializers

from aforo.api.serializers import StrictSerializer, WireModelSerializer, WireSerializer
from aforo.money import plain
from catalog.api.fields import ExactField
from metering.margin.rehearsal import SHOWN_CUSTOMERS, Rehearsal
from metering.models import GuardDecision, MarginChannel, MarginGuard, MarginLevel, MarginState

_PERCENT: dict[str, Any] = {"max_digits": 12, "decimal_places": 6, "required": False}


def _channels(level: str, **more: Any) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(MarginChannel.choices),
        max_length=len(MarginChannel),
        help_text=f"which endpoints are told that {level}; none: all that take the fact",
        **more,
    )


class FloorSerializer(StrictSerializer):
    """Customers on this plan are blocked below this percentage instead."""

    plan_id = serializers.UUIDField()
    percent = ExactField(max_digits=12, decimal_places=6)


class GuardEdits(StrictSerializer):
    """What of a guard is said; what is absent stays, or is the default."""

    code = serializers.SlugField(max_length=80, required=False)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    metric_name = serializers.CharField(
        max_length=200, required=False, allow_null=True, help_text="null: all that is used"
    )
    scope = serializers.ChoiceField(MarginGuard.Scope.choices, required=False)
    plan_id = serializers.UUIDField(required=False, allow_null=True)
    customer_id = serializers.CharField(
        max_length=200, required=False, allow_null=True, help_text="id or externalId"
    )
    cohort = serializers.ChoiceField(
        MarginGuard.Cohort.choices, required=False, allow_blank=True, allow_null=True
    )
    cohort_value = serializers.CharField(
        max_length=80, required=False, allow_blank=True, help_text="such as 2026-11, or the tag"
    )
    mode = serializers.ChoiceField(MarginGuard.Mode.choices, required=False)
    warn_below = ExactField(**_PERCENT)
    throttle_below = ExactField(**_PERCENT)
    block_below = ExactField(**_PERCENT)
    warn_channels = _channels("a customer is warned of", required=False)
    throttle_channels = _channels("one is throttled", required=False)
    block_channels = _channels("one is blocked", required=False)
    throttle_rate = serializers.IntegerField(min_value=0, max_value=100, required=False)
    requests_per_second = ExactField(
        max_digits=12,
        decimal_places=3,
        required=False,
        allow_null=True,
        help_text="that gateways which can count let through while throttled; null: the share",
    )
    cost_floor = ExactField(min_value=0, required=False)
    retry_after = serializers.IntegerField(
        min_value=0, max_value=2_000_000_000, required=False, help_text="seconds"
    )
    is_active = serializers.BooleanField(required=False)
    floors = FloorSerializer(many=True, required=False)


class NewGuard(GuardEdits):
    code = serializers.SlugField(max_length=80)


class GuardSerializer(WireModelSerializer):
    metric_name = serializers.CharField(
        source="unit.name", default=None, read_only=True, allow_null=True
    )
    plan_id = serializers.UUIDField(source="rate_plan_id", read_only=True, allow_null=True)
    customer_id = serializers.CharField(
        source="customer.external_id",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="externalId",
    )
    cohort = serializers.ChoiceField(
        MarginGuard.Cohort.choices, read_only=True, allow_blank=True, help_text="empty: none"
    )
    warn_below = ExactField(read_only=True)
    throttle_below = ExactField(read_only=True)
    block_below = ExactField(read_only=True)
    warn_channels = _channels("a customer is warned of", read_only=True)
    throttle_channels = _channels("one is throttled", read_only=True)
    block_channels = _channels("one is blocked", read_only=True)
    requests_per_second = ExactField(read_only=True, allow_null=True)
    cost_floor = ExactField(read_only=True)
    floors = serializers.SerializerMethodField()

    class Meta:
        model = MarginGuard
        fields = (
            "id",
            "code",
            "name",
            "metric_name",
            "scope",
            "plan_id",
            "customer_id",
            "cohort",
            "cohort_value",
            "mode",
            "warn_below",
            "throttle_below",
            "block_below",
            "warn_channels",
            "throttle_channels",
            "block_channels",
            "throttle_rate",
            "requests_per_second",
            "cost_floor",
            "retry_after",
            "is_active",
            "floors",
            "created_at",
            "archived_at",
        )
        read_only_fields = fields

    def get_floors(self, guard: MarginGuard) -> list[dict[str, str]]:
        return [
            {"planId": str(floor.rate_plan_id), "percent": plain(floor.percent)}
            for floor in guard.floors.all()
        ]


class _Numbers(WireModelSerializer):
    guard_id = serializers.UUIDField(read_only=True)
    guard = serializers.CharField(source="guard.code", read_only=True)
    customer_id = serializers.CharField(source="customer.external_id", read_only=True)
    metric_name = serializers.CharField(source="guard.unit.name", default=None, read_only=True)
    revenue = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField()
    percent = serializers.SerializerMethodField()

    def get_revenue(self, row: Any) -> str:
        return plain(row.revenue)

    def get_cost(self, row: Any) -> str:
        return plain(row.cost)

    def get_percent(self, row: Any) -> str | None:
        return None if row.percent is None else plain(row.percent)


_WHOSE = ("id", "guard_id", "guard", "customer_id", "metric_name")
_FIGURES = ("reason", "currency", "revenue", "cost", "percent")


class MarginStateSerializer(_Numbers):
    class Meta:
        model = MarginState
        fields = (*_WHOSE, "level", *_FIGURES, "since", "judged_at")
        read_only_fields = fields


class GuardDecisionSerializer(_Numbers):
    class Meta:
        model = GuardDecision
        fields = (*_WHOSE, "before", "level", "mode", *_FIGURES, "decided_at")
        read_only_fields = fields


class RehearsedDaySerializer(WireSerializer):
    day = serializers.DateField()
    judged = serializers.IntegerField()
    warned = serializers.IntegerField()
    throttled = serializers.IntegerField()
    blocked = serializers.IntegerField()


class RehearsedCustomerSerializer(WireSerializer):
    customer_id = serializers.CharField()
    level = serializers.ChoiceField(MarginLevel.choices)
    first_day = serializers.DateField(help_text="on which that level was reached")
    days = serializers.IntegerField(help_text="on how many it would have been held at any level")
    currency = serializers.CharField()
    revenue = serializers.CharField()
    cost = serializers.CharField()
    percent = serializers.CharField(allow_null=True)


class RehearsalSerializer(WireSerializer):
    days = RehearsedDaySerializer(many=True)
    customers = RehearsedCustomerSerializer(
        many=True, help_text=f"the worst first, at most {SHOWN_CUSTOMERS} of heldCustomers"
    )
    held_customers = serializers.IntegerField()


def told_rehearsal(found: Rehearsal) -> dict[str, Any]:
    """A rehearsal as it is answered."""
    return {
        "days": [
            {
                "day": one.day,
                "judged": one.judged,
                "warned": one.warned,
                "throttled": one.throttled,
                "blocked": one.blocked,
            }
            for one in found.days
        ],
        "customers": [
            {
                "customerId": one.customer,
                "level": one.level.value,
                "firstDay": one.first_day,
                "days": one.days,
                "currency": one.judged.currency,
                "revenue": plain(one.judged.margin.revenue),
                "cost": plain(one.judged.margin.cost),
                "percent": None
                if one.judged.margin.percent is None
                else plain(one.judged.margin.percent),
            }
            for one in found.customers[:SHOWN_CUSTOMERS]
        ],
        "heldCustomers": found.held,
    }


class CustomerTags(StrictSerializer):
    tags = serializers.ListField(child=serializers.CharField(max_length=80), max_length=50)
