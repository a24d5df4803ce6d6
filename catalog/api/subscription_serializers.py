"""Shapes of subscriptions on the wire: what is asked, and what is answered."""

from typing import Any

from rest_framework import serializers

from aforo.api.endpoints.api_keys import ApiKeySerializer
from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.errors import Refused
from aforo.money import plain
from catalog.api.fields import ExactField
from catalog.models import (
    Subscription,
    SubscriptionKey,
    SubscriptionPeriod,
    SubscriptionPhase,
)
from catalog.services import sales
from catalog.services.subscriptions import NOW, PERIOD_END

_WHEN = (NOW, PERIOD_END)


class NewSubscription(WireSerializer):
    """Begins on a date (00:00 where the billing entity is) or at a moment, by default now."""

    offering_id = serializers.UUIDField()
    customer_id = serializers.CharField(max_length=200, help_text="id or externalId")
    currency = serializers.CharField(
        max_length=3, default="", help_text="by default the offering's; its plans must have it"
    )
    billing_cycle = serializers.ChoiceField(
        Subscription.Cycle.choices, default=Subscription.Cycle.MONTHLY
    )
    cycle_count = serializers.IntegerField(
        default=1, help_text="so many days or months per period, of DAYS and MONTHS"
    )
    billing_anchor = serializers.ChoiceField(
        [sales.ANNIVERSARY, sales.CALENDAR], default=sales.ANNIVERSARY
    )
    billing_anchor_day = serializers.IntegerField(
        required=False, allow_null=True, help_text="1 to 31 (the last day); of weeks 1 to 7"
    )
    billing_anchor_month = serializers.IntegerField(
        required=False, allow_null=True, help_text="1 to 12: where quarters and years turn"
    )
    start_date = serializers.DateField(required=False, allow_null=True)
    start_at = serializers.DateTimeField(required=False, allow_null=True)
    end_date = serializers.DateField(
        required=False, allow_null=True, help_text="the first day that is not included"
    )
    end_at = serializers.DateTimeField(required=False, allow_null=True)
    billing_entity_id = serializers.UUIDField(required=False, allow_null=True)
    start_trial = serializers.BooleanField(
        default=None, allow_null=True, help_text="by default as the offering has it"
    )
    trial_ends_at = serializers.DateTimeField(required=False, allow_null=True)
    auto_convert_paid = serializers.BooleanField(
        default=True, help_text="whether it is paid for when its trial ends"
    )
    invoice_threshold = ExactField(
        required=False, allow_null=True, decimal_places=4, help_text="invoice usage worth so much"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for field in ("start", "end"):
            on, at = attrs.pop(f"{field}_date", None), attrs.pop(f"{field}_at", None)
            if on is not None and at is not None:
                raise Refused.naming(f"{field}At", "AMBIGUOUS", f"{field}Date says it already")
            attrs[field] = on or at
        return attrs


class Reason(WireSerializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class Cancellation(Reason):
    cancel_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="never before now"
    )
    when = serializers.ChoiceField(_WHEN, default=NOW, help_text="unless cancelAt says it")


class OfferingChange(Reason):
    target_offering_id = serializers.UUIDField()
    when = serializers.ChoiceField(_WHEN, default=NOW)
    prorate = serializers.BooleanField(
        default=True, help_text="of a change now: whether both parts of the period are prorated"
    )


class Migration(OfferingChange):
    auto_settle_refund = serializers.BooleanField(
        default=False, help_text="what is given back always goes to the next invoice"
    )


class VersionMove(Reason):
    version_id = serializers.UUIDField(help_text="a published version of one of its plans")
    when = serializers.ChoiceField(_WHEN, default=NOW)
    prorate = serializers.BooleanField(default=True)


class NewSubscriptionKey(WireSerializer):
    name = serializers.CharField(max_length=120)
    rate_limit = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, allow_null=True, default=None, help_text="events a minute"
    )


class PinnedPlan(WireSerializer):
    rate_plan_id = serializers.UUIDField(source="version.rate_plan_id")
    name = serializers.CharField(source="version.rate_plan.name")
    version_id = serializers.UUIDField()
    version = serializers.IntegerField(source="version.number")
    start_at = serializers.DateTimeField(
        allow_null=True, help_text="periods that begin from then on; null: all"
    )
    end_at = serializers.DateTimeField(
        allow_null=True, help_text="periods that begin before; null: all"
    )


class SubscriptionSerializer(WireModelSerializer):
    customer_id = serializers.UUIDField(read_only=True)
    customer_external_id = serializers.CharField(source="customer.external_id", read_only=True)
    offering_id = serializers.UUIDField(read_only=True)
    next_offering_id = serializers.UUIDField(read_only=True, allow_null=True)
    billing_entity_id = serializers.UUIDField(read_only=True)
    status = serializers.CharField(source="state", read_only=True)
    billing_anchor_day = serializers.IntegerField(source="anchor_day", read_only=True)
    billing_anchor_month = serializers.IntegerField(
        source="anchor_month", read_only=True, allow_null=True
    )
    trial_ends_at = serializers.DateTimeField(
        source="trial_end_at", read_only=True, allow_null=True
    )
    auto_convert_paid = serializers.BooleanField(source="auto_convert", read_only=True)
    invoice_threshold = serializers.SerializerMethodField()
    plans = PinnedPlan(many=True, read_only=True)

    class Meta:
        model = Subscription
        fields = (
            "id",
            "customer_id",
            "customer_external_id",
            "offering_id",
            "next_offering_id",
            "next_offering_at",
            "billing_entity_id",
            "status",
            "currency",
            "billing_cycle",
            "cycle_count",
            "start_at",
            "end_at",
            "cancels_at_end",
            "trial_ends_at",
            "auto_convert_paid",
            "billing_anchor_day",
            "billing_anchor_month",
            "invoice_threshold",
            "time_zone",
            "plans",
            "created_at",
        )
        read_only_fields = fields

    def get_invoice_threshold(self, subscription: Subscription) -> str | None:
        threshold = subscription.invoice_threshold
        return None if threshold is None else plain(threshold)


class ChangedSubscriptionSerializer(SubscriptionSerializer):
    """A subscription after a change of plan, and when that takes effect."""

    effective_at = serializers.DateTimeField(read_only=True)

    class Meta:
        model = Subscription
        fields = (*SubscriptionSerializer.Meta.fields, "effective_at")
        read_only_fields = fields


class MigrationResult(WireSerializer):
    source_subscription_id = serializers.UUIDField()
    target_subscription_id = serializers.UUIDField(help_text="the same one")
    effective_at = serializers.DateTimeField()
    calendar_refund_usd = ExactField(
        help_text="unused part of fees paid in advance, in the subscription's currency"
    )
    currency = serializers.CharField()
    status = serializers.CharField()


class PeriodSerializer(WireModelSerializer):
    contract_phase_id = serializers.UUIDField(read_only=True, allow_null=True)

    class Meta:
        model = SubscriptionPeriod
        fields = (
            "id",
            "kind",
            "start_at",
            "end_at",
            "whole_start_at",
            "whole_end_at",
            "contract_phase_id",
        )
        read_only_fields = fields


class SubscriptionPhaseSerializer(WireModelSerializer):
    offering_id = serializers.UUIDField(read_only=True)
    status = serializers.CharField(source="state", read_only=True)
    actor = serializers.CharField(source="actor_name", read_only=True)

    class Meta:
        model = SubscriptionPhase
        fields = ("id", "status", "offering_id", "reason", "actor", "started_at")
        read_only_fields = fields


class SubscriptionKeySerializer(WireModelSerializer):
    """A key and the subscription that it was given out for."""

    subscription_id = serializers.UUIDField(read_only=True)
    key = ApiKeySerializer(read_only=True)

    class Meta:
        model = SubscriptionKey
        fields = ("subscription_id", "key")
        read_only_fields = fields


class IssuedSubscriptionKeySerializer(SubscriptionKeySerializer):
    secret = serializers.CharField(read_only=True, help_text="the key itself, shown this once")

    class Meta:
        model = SubscriptionKey
        fields = (*SubscriptionKeySerializer.Meta.fields, "secret")
        read_only_fields = fields
