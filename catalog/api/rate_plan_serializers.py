"""Rate plans as they are written and answered."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.money import ZERO
from aforo.spelling import on_the_wire
from catalog.api.fields import ExactField
from catalog.api.metric_config_shapes import MODEL_NAMES, MetricConfig, MetricConfigsField
from catalog.api.metric_configs import config_of
from catalog.models import RatePlan, RatePlanVersion
from catalog.services.version_currencies import CurrencyFees
from catalog.services.version_terms import VERSION_FIELDS

DRAFT = RatePlanVersion.Status.DRAFT
TIMINGS = RatePlanVersion.BaseFeeTiming.choices
PRORATIONS = RatePlanVersion.Proration.choices


class CurrencyFeesSerializer(WireSerializer):
    """Fees of a version in a further currency; prices in it stand among the metricConfigs."""

    currency = serializers.CharField(max_length=3)
    base_fee = ExactField(default=ZERO)
    setup_fee = ExactField(default=ZERO)
    minimum_spend = ExactField(default=ZERO)
    maximum_spend = ExactField(allow_null=True, default=None)
    discount_amount = ExactField(default=ZERO)


class RatePlanEdits(WireSerializer):
    """What can be written about a plan."""

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False)
    tax_code = serializers.CharField(
        max_length=40, allow_blank=True, required=False, help_text="of its fees"
    )
    base_fee = ExactField(required=False)
    base_fee_timing = serializers.ChoiceField(TIMINGS, required=False)
    proration = serializers.ChoiceField(
        PRORATIONS, required=False, help_text="how fees of a partial period are scaled"
    )
    minimum_spend = ExactField(required=False)
    discount_percent = ExactField(required=False, max_digits=15)
    discount_amount = ExactField(required=False)
    product_ids = serializers.ListField(child=serializers.UUIDField(), required=False)
    metric_configs = MetricConfigsField(required=False)
    currencies = CurrencyFeesSerializer(many=True, required=False)
    dimension_key = serializers.CharField(
        max_length=100,
        allow_blank=True,
        required=False,
        help_text="metadata key whose values multiply; absent: that of the product type",
    )
    dimension_pricing = serializers.DictField(
        required=False, allow_null=True, help_text="{value of the key: multiplier}"
    )
    maximum_spend = ExactField(required=False, allow_null=True)
    setup_fee = ExactField(required=False, allow_null=True)
    credits_allowed = serializers.BooleanField(
        required=False, help_text="whether rates may be below zero"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Clients send null for what a plan does not have."""
        if "dimension_pricing" in attrs:
            attrs["dimension_pricing"] = attrs["dimension_pricing"] or {}
        if "setup_fee" in attrs:
            attrs["setup_fee"] = attrs["setup_fee"] or ZERO
        if "currencies" in attrs:
            attrs["currencies"] = [CurrencyFees(**fees) for fees in attrs["currencies"]]
        return attrs


class NewRatePlan(RatePlanEdits):
    name = serializers.CharField(max_length=200)
    currency = serializers.CharField(max_length=3, required=False, help_text="or the tenant's")
    pricing_model = serializers.ChoiceField(
        MODEL_NAMES, required=False, help_text="for display; each metric has its own model"
    )
    status = serializers.ChoiceField(["PUBLISHED", "ACTIVE", "DRAFT"], default="PUBLISHED")


class VersionSerializer(WireModelSerializer):
    base_fee = ExactField()
    setup_fee = ExactField()
    minimum_spend = ExactField()
    maximum_spend = ExactField(allow_null=True)
    discount_percent = ExactField(max_digits=15)
    discount_amount = ExactField()
    currencies = CurrencyFeesSerializer(many=True)
    metric_configs = serializers.SerializerMethodField()

    class Meta:
        model = RatePlanVersion
        fields = (
            "id",
            "number",
            "status",
            "published_at",
            *VERSION_FIELDS,
            "currencies",
            "metric_configs",
        )
        read_only_fields = fields

    @extend_schema_field(MetricConfig(many=True))
    def get_metric_configs(self, version: RatePlanVersion) -> list[dict[str, object]]:
        return [config_of(price) for price in version.prices.all()]


class RatePlanSerializer(WireModelSerializer):
    """A plan at the prices that a subscription would get now; a first draft's own before."""

    product_ids = serializers.SerializerMethodField()
    version = serializers.SerializerMethodField(help_text="the number of the version shown")
    status = serializers.SerializerMethodField()
    pricing_model = serializers.SerializerMethodField(help_text="of the first metric")
    draft_version = serializers.SerializerMethodField(help_text="the number being written, or null")
    versions = serializers.SerializerMethodField()

    class Meta:
        model = RatePlan
        fields = (
            "id",
            "name",
            "description",
            "currency",
            "tax_code",
            "product_ids",
            "version",
            "status",
            "pricing_model",
            "draft_version",
            "versions",
            "created_at",
            "archived_at",
        )
        read_only_fields = fields

    def to_representation(self, plan: RatePlan) -> dict[str, Any]:
        answer: dict[str, Any] = super().to_representation(plan)
        shown = _shown(plan)
        prices = {} if shown is None else VersionSerializer(shown).data
        fees = {on_the_wire(name): prices.get(on_the_wire(name)) for name in VERSION_FIELDS}
        lists = {name: prices.get(name, []) for name in ("currencies", "metricConfigs")}
        return answer | fees | lists

    def get_product_ids(self, plan: RatePlan) -> list[str]:
        return [str(product.pk) for product in plan.products.all()]

    def get_version(self, plan: RatePlan) -> int | None:
        shown = _shown(plan)
        return None if shown is None else shown.number

    def get_status(self, plan: RatePlan) -> str:
        if plan.archived_at is not None:
            return "ARCHIVED"
        shown = _shown(plan)
        return DRAFT if shown is None else shown.status

    def get_pricing_model(self, plan: RatePlan) -> str:
        shown = _shown(plan)
        prices = [] if shown is None else shown.prices.all()
        return next((price.terms["model"] for price in prices), "FLAT_RATE")

    def get_draft_version(self, plan: RatePlan) -> int | None:
        drafts = (version.number for version in plan.versions.all() if not version.is_published)
        return next(drafts, None)

    def get_versions(self, plan: RatePlan) -> list[dict[str, Any]]:
        return [
            {
                "id": str(version.pk),
                "number": version.number,
                "status": version.status,
                "publishedAt": version.published_at,
            }
            for version in plan.versions.all()
        ]


def _shown(plan: RatePlan) -> RatePlanVersion | None:
    """The latest published version, or the first draft; versions are read newest first."""
    versions = list(plan.versions.all())
    published = (version for version in versions if version.is_published)
    return next(published, versions[0] if versions else None)
