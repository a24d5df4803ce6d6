"""Rate plans as they are written and answered."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.errors import Refused
from aforo.spelling import on_the_wire
from catalog.api.fields import ExactField
from catalog.api.metric_configs import MODEL_NAMES, MetricConfig, MetricConfigsField, config_of
from catalog.models import RatePlan, RatePlanVersion

DRAFT = RatePlanVersion.Status.DRAFT
NOT_YET = ("dimension_pricing", "maximum_spend", "setup_fee")
FEE_NAMES = ("base_fee", "minimum_spend", "discount_percent", "discount_amount")


class RatePlanEdits(WireSerializer):
    """What can be written about a plan; what is not available yet is refused, never lost."""

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(allow_blank=True, required=False)
    base_fee = ExactField(required=False)
    minimum_spend = ExactField(required=False)
    discount_percent = ExactField(required=False, max_digits=15)
    discount_amount = ExactField(required=False)
    product_ids = serializers.ListField(child=serializers.UUIDField(), required=False)
    metric_configs = MetricConfigsField(required=False)
    dimension_pricing = serializers.DictField(required=False, allow_null=True)
    maximum_spend = ExactField(required=False, allow_null=True)
    setup_fee = ExactField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for field in NOT_YET:
            if attrs.pop(field, None):
                name = next(key for key, item in self.fields.items() if item.source == field)
                raise Refused.naming(name, "UNSUPPORTED", "is not supported yet")
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
    minimum_spend = ExactField()
    discount_percent = ExactField(max_digits=15)
    discount_amount = ExactField()
    metric_configs = serializers.SerializerMethodField()

    class Meta:
        model = RatePlanVersion
        fields = (
            "id",
            "number",
            "status",
            "published_at",
            *FEE_NAMES,
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
        fees = {on_the_wire(name): prices.get(on_the_wire(name)) for name in FEE_NAMES}
        return answer | fees | {"metricConfigs": prices.get("metricConfigs", [])}

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
