"""Rate plans over HTTP.

A POST publishes version 1 at once, because clients put a new plan straight into an offering;
`"status": "DRAFT"` keeps it a draft until `/publish`.
"""

from typing import Any

from django.db import transaction
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer, on_the_wire
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Conflict, FieldError, Refused
from aforo.tenancy.roles import CATALOG_WRITERS
from catalog.api.fields import ExactField, found_all
from catalog.api.metric_configs import (
    MODEL_NAMES,
    MetricConfig,
    MetricConfigsField,
    config_of,
    price_drafts,
)
from catalog.models import RatePlan, RatePlanVersion
from catalog.selectors import listings
from catalog.selectors.current import draft_of, latest_published
from catalog.services import rate_plans

DRAFT = RatePlanVersion.Status.DRAFT
NOT_YET = ("dimension_pricing", "maximum_spend", "setup_fee")
_FEE_NAMES = ("base_fee", "minimum_spend", "discount_percent", "discount_amount")


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
                fault = FieldError(name, "UNSUPPORTED", "is not supported yet")
                raise Refused(f"{name}: is not supported yet", errors=(fault,))
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
            *_FEE_NAMES,
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
        fees = {on_the_wire(name): prices.get(on_the_wire(name)) for name in _FEE_NAMES}
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


class RatePlanFilter(filters.FilterSet):
    name = filters.CharFilter(lookup_expr="icontains")
    currency = filters.CharFilter()
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class RatePlanView(TenantAPIView):
    """What the views of rate plans share."""

    selector = listings.rate_plans
    serializer_class = RatePlanSerializer
    write_roles = CATALOG_WRITERS

    def answer_again(self, plan: RatePlan, *, status: int = 200) -> Response:
        """The plan as it is now, read whole once more."""
        return self.answer(self.get_queryset().get(pk=plan.pk), status=status)


class RatePlans(RatePlanView, TenantListView):
    """The tenant's rate plans."""

    filterset_class = RatePlanFilter

    @extend_schema(request=NewRatePlan, responses={201: RatePlanSerializer})
    def post(self, request: Request) -> Response:
        """Create a plan and, unless its status is DRAFT, publish its version 1."""
        asked = self.read(NewRatePlan)
        status = asked.pop("status")
        asked.pop("pricing_model", None)
        now = self.now()
        with transaction.atomic():
            version = rate_plans.create_rate_plan(
                tenant=self.tenant,
                actor=self.actor,
                now=now,
                price_drafts=price_drafts(self.tenant, asked.pop("metric_configs", [])),
                products=products_of(self, asked) or [],
                **{"currency": self.tenant.currency, **asked},
            )
            if status != DRAFT:
                rate_plans.publish_version(version=version, actor=self.actor, now=now)
        return self.answer_again(version.rate_plan, status=201)


class RatePlanSearch(RatePlanView, TenantListView):
    """The tenant's rate plans by a part of their name."""

    filterset_class = RatePlanFilter


class RatePlanDetail(RatePlanView, TenantDetailView):
    """One rate plan."""

    @extend_schema(request=RatePlanEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change names at any time, and prices of the draft; a published version never changes."""
        plan, asked, now = self.get_object(), self.read(RatePlanEdits), self.now()
        owners = products_of(self, asked)
        configs = asked.pop("metric_configs", None)
        fees = {name: asked.pop(name) for name in _FEE_NAMES if name in asked}
        with transaction.atomic():
            rate_plans.edit_plan(plan=plan, edits=asked, products=owners, actor=self.actor, now=now)
            if fees or configs is not None:
                rate_plans.edit_draft(
                    version=draft_to_edit(plan),
                    actor=self.actor,
                    now=now,
                    fees=fees,
                    price_drafts=None if configs is None else price_drafts(self.tenant, configs),
                )
        return self.answer_again(plan)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive the plan; 409 while an active offering sells it."""
        rate_plans.archive_plan(plan=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class RatePlanVersions(RatePlanView):
    """A plan's versions."""

    @extend_schema(request=None, responses={201: RatePlanSerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Begin a draft as a copy of the latest published version."""
        plan = self.get_object()
        rate_plans.draft_next_version(plan=plan, actor=self.actor, now=self.now())
        return self.answer_again(plan, status=201)


class RatePlanPublication(RatePlanView):
    """Publishing a plan's draft."""

    @extend_schema(request=None)
    def post(self, request: Request, **path: Any) -> Response:
        """Publish the draft; again, or without one, the plan is answered as it stands."""
        plan = self.get_object()
        draft = draft_of(plan)
        if draft is not None:
            rate_plans.publish_version(version=draft, actor=self.actor, now=self.now())
        return self.answer_again(plan)


def draft_to_edit(plan: RatePlan) -> RatePlanVersion:
    """The draft whose prices a PATCH changes; Conflict when the plan has none."""
    draft = draft_of(plan)
    if draft is None:
        raise Conflict(
            f"version {getattr(latest_published(plan), 'number', 0)} of plan '{plan}' is published"
            " and never changes: begin a new version first"
        )
    return draft


def products_of(view: RatePlanView, asked: dict[str, Any]) -> list[Any] | None:
    """The products that `productIds` names; None when the body does not say."""
    ids = asked.pop("product_ids", None)
    if ids is None:
        return None
    return found_all(listings.products(tenant=view.tenant), ids, field="productIds")


def _shown(plan: RatePlan) -> RatePlanVersion | None:
    """The latest published version, or the first draft; versions are read newest first."""
    versions = list(plan.versions.all())
    published = (version for version in versions if version.is_published)
    return next(published, versions[0] if versions else None)
