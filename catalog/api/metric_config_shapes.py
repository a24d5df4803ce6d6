"""The shape of `metricConfigs`: what the API document says of it, and what stands beside terms."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireSerializer
from catalog.api.fields import ExactField
from catalog.models import UnitPrice
from catalog.pricing import MODELS

DEFAULT_MODEL = "PER_UNIT"
MODEL_NAMES = list(MODELS)
MOST_CONFIGS = 500


class TierSerializer(WireSerializer):
    tier_start = ExactField(required=False)
    tier_end = ExactField(help_text="inclusive; -1 for no end")
    unit_price = ExactField(required=False)
    rate_percent = ExactField(required=False)
    flat_fee = ExactField(required=False)
    sort_order = serializers.IntegerField(required=False)


class CellSerializer(WireSerializer):
    values = serializers.DictField(help_text="by dimension; absent or `*` is any")
    rate = ExactField()


class BesideTerms(WireSerializer):
    """What stands beside the terms of a price."""

    currency = serializers.CharField(max_length=3, required=False, allow_null=True, default="")
    group_by = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True, default=list
    )
    rollover_periods = serializers.IntegerField(
        min_value=0, required=False, allow_null=True, default=0
    )
    rollover_cap = ExactField(required=False, allow_null=True)
    rollover_cap_percent = ExactField(max_digits=15, required=False, allow_null=True)


class MetricConfig(WireSerializer):
    """Documents one price; `docs/pricing.md` says which terms each model takes."""

    metric_id = serializers.UUIDField(required=False, help_text="or metricName")
    metric_name = serializers.CharField(required=False)
    model = serializers.ChoiceField(MODEL_NAMES, default=DEFAULT_MODEL)
    rate = ExactField(required=False)
    included_free = ExactField(required=False)
    block_size = ExactField(required=False)
    min_fee = ExactField(required=False)
    tiers = TierSerializer(many=True, required=False)
    dimensions = serializers.ListField(child=serializers.CharField(), required=False)
    cells = CellSerializer(many=True, required=False)
    default_rate = ExactField(required=False)
    amount_field = serializers.CharField(required=False)
    markup_percent = ExactField(required=False)
    min_per_transaction = ExactField(required=False)
    max_per_transaction = ExactField(required=False)
    ov_behavior = serializers.ChoiceField(["CHARGE", "BLOCK", "IGNORE"], default="CHARGE")
    billing_timing = serializers.ChoiceField(UnitPrice.Timing.choices, default="ARREARS")
    group_by = serializers.ListField(
        child=serializers.CharField(),
        max_length=2,
        required=False,
        help_text="metadata keys: a total and a line for each of their values",
    )
    rollover_periods = serializers.IntegerField(
        default=0, help_text="how many periods unused included units live on"
    )
    rollover_cap = ExactField(required=False, help_text="in units")
    rollover_cap_percent = ExactField(required=False, help_text="of the allowance")
    currency = serializers.CharField(
        required=False, help_text="a further one, of `currencies`; absent: the plan's own"
    )
    terms = serializers.DictField(required=False, help_text="model and terms, instead of the above")


@extend_schema_field(MetricConfig(many=True))
class MetricConfigsField(serializers.ListField):
    child = serializers.DictField()
    max_length = MOST_CONFIGS
