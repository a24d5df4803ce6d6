"""The shapes of contracts on the wire."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.errors import Refused
from aforo.money import plain
from catalog.api.fields import ExactField
from catalog.api.metric_config_shapes import MODEL_NAMES
from catalog.models import Contract, ContractPhase, ContractPrice

MOST_PHASES = 120
MOST_PRICES = 500


class AgreedPriceShape(WireSerializer):
    """Documents one price: a model and its terms, or `includedFree` alone."""

    metric_id = serializers.UUIDField(required=False, help_text="or metricName")
    metric_name = serializers.CharField(required=False)
    model = serializers.ChoiceField(MODEL_NAMES, required=False)
    terms = serializers.DictField(required=False, help_text="as in metricConfigs of a rate plan")
    included_free = ExactField(required=False, help_text="alone: instead of the plan's allowance")


@extend_schema_field(AgreedPriceShape(many=True))
class AgreedPricesField(serializers.ListField):
    child = serializers.DictField()
    max_length = MOST_PRICES


class PhaseInput(WireSerializer):
    """A step of a ramp; null leaves what the plans say. Spends are per full billing period."""

    start_at = serializers.DateTimeField(required=False, allow_null=True)
    month_offset = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=1200, help_text="or startAt"
    )
    minimum_spend = ExactField(required=False, allow_null=True)
    maximum_spend = ExactField(required=False, allow_null=True)
    discount_percent = ExactField(default=0, max_digits=15)
    discount_amount = ExactField(default=0)
    prices = AgreedPricesField(default=list)


class ContractEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False)
    currency = serializers.CharField(max_length=3, required=False)
    start_date = serializers.DateField(required=False)
    start_at = serializers.DateTimeField(required=False)
    end_date = serializers.DateField(required=False, help_text="the first day that is not included")
    end_at = serializers.DateTimeField(required=False)
    minimum_spend = ExactField(required=False, help_text="over the whole term")
    maximum_spend = ExactField(required=False, allow_null=True, help_text="over the whole term")
    auto_renew = serializers.BooleanField(required=False)
    renewal_months = serializers.IntegerField(required=False, min_value=1, max_value=120)
    phases = PhaseInput(  # type: ignore[call-arg]  # `many` makes a list, which has a length
        many=True, required=False, max_length=MOST_PHASES
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for field in ("start", "end"):
            on, at = attrs.pop(f"{field}_date", None), attrs.pop(f"{field}_at", None)
            if on is not None and at is not None:
                reason = f"{field}Date says it already"
                raise Refused.naming(f"{field}At", "AMBIGUOUS", reason)
            if on is not None or at is not None:
                attrs[field] = on or at
        return attrs


class NewContract(ContractEdits):
    """A term of [start, end) or of so many months, in phases; without phases there is one."""

    customer_id = serializers.CharField(max_length=200, help_text="id or externalId")
    subscription_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="absent: all of the customer's"
    )
    name = serializers.CharField(max_length=200)
    term_months = serializers.IntegerField(
        required=False, min_value=1, max_value=1200, help_text="instead of an end"
    )
    status = serializers.ChoiceField(
        [Contract.Status.DRAFT, Contract.Status.ACTIVE], default=Contract.Status.DRAFT
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "start" not in attrs:
            raise Refused.naming("startAt", "REQUIRED", "or startDate: where the term begins")
        if ("end" in attrs) == ("term_months" in attrs):
            raise Refused.naming("endAt", "REQUIRED", "one of endAt, endDate and termMonths")
        return attrs


class Termination(WireSerializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class AgreedPriceSerializer(WireModelSerializer):
    metric_id = serializers.UUIDField(source="unit_id", read_only=True)
    metric_name = serializers.CharField(source="unit.name", read_only=True)
    model = serializers.SerializerMethodField()
    included_free = serializers.SerializerMethodField()

    class Meta:
        model = ContractPrice
        fields = ("metric_id", "metric_name", "model", "terms", "included_free")
        read_only_fields = fields

    def get_model(self, price: ContractPrice) -> str | None:
        return str(price.terms["model"]) if price.terms else None

    def get_included_free(self, price: ContractPrice) -> str | None:
        if price.included_free is not None:
            return plain(price.included_free)
        said = (price.terms or {}).get("includedFree")
        return None if said is None else str(said)


class PhaseSerializer(WireModelSerializer):
    minimum_spend = ExactField(read_only=True)
    maximum_spend = ExactField(read_only=True)
    discount_percent = ExactField(read_only=True)
    discount_amount = ExactField(read_only=True)
    prices = AgreedPriceSerializer(many=True, read_only=True)

    class Meta:
        model = ContractPhase
        fields = (
            "id",
            "start_at",
            "end_at",
            "minimum_spend",
            "maximum_spend",
            "discount_percent",
            "discount_amount",
            "prices",
        )
        read_only_fields = fields


class ContractSerializer(WireModelSerializer):
    customer_id = serializers.UUIDField(read_only=True)
    customer_external_id = serializers.CharField(source="customer.external_id", read_only=True)
    subscription_id = serializers.UUIDField(read_only=True, allow_null=True)
    renewed_from_id = serializers.UUIDField(read_only=True, allow_null=True)
    minimum_spend = ExactField(read_only=True)
    maximum_spend = ExactField(read_only=True)
    phases = PhaseSerializer(many=True, read_only=True)

    class Meta:
        model = Contract
        fields = (
            "id",
            "customer_id",
            "customer_external_id",
            "subscription_id",
            "name",
            "currency",
            "status",
            "start_at",
            "end_at",
            "minimum_spend",
            "maximum_spend",
            "auto_renew",
            "renewal_months",
            "renewed_from_id",
            "phases",
            "created_at",
            "activated_at",
        )
        read_only_fields = fields
