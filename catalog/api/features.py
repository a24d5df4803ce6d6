"""Features over HTTP: made here, granted to rate plans, overridden for subscriptions."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer, WireSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.api.fields import ExactField, found
from catalog.models import Feature, FeatureOverride, PlanFeature
from catalog.selectors import features as selectors
from catalog.selectors import listings
from catalog.services import features
from catalog.services.features import Grant

_QUANTITY: dict[str, Any] = {
    "max_digits": 36,
    "min_value": 0,
    "required": False,
    "allow_null": True,
    "default": None,
    "help_text": "of a LIMIT, per period; null: unlimited",
}


class FeatureEdits(WireSerializer):
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    description = serializers.CharField(max_length=4000, required=False, allow_blank=True)


class NewFeature(FeatureEdits):
    key = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(Feature.Kind.choices, default=Feature.Kind.BOOLEAN)
    metric_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="the billable unit that a LIMIT is a quota of"
    )


class FeatureSerializer(WireModelSerializer):
    metric_id = serializers.UUIDField(source="unit_id", read_only=True, allow_null=True)
    metric_name = serializers.CharField(
        source="unit.name", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = Feature
        fields = (
            "id",
            "key",
            "name",
            "description",
            "kind",
            "metric_id",
            "metric_name",
            "created_at",
            "archived_at",
        )
        read_only_fields = fields


class FeatureGrant(WireSerializer):
    """What a plan has of a feature."""

    limit = ExactField(**_QUANTITY)
    value = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="of a VALUE"
    )


class FeatureOverriding(FeatureGrant):
    """What a subscription has of a feature, whatever its plans say."""

    enabled = serializers.BooleanField(default=True, help_text="false: taken away")
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="null: never"
    )
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class PlanFeatureSerializer(WireModelSerializer):
    feature_key = serializers.CharField(source="feature.key", read_only=True)
    kind = serializers.ChoiceField(Feature.Kind.choices, source="feature.kind", read_only=True)
    limit = ExactField(max_digits=36, read_only=True, allow_null=True)

    class Meta:
        model = PlanFeature
        fields = ("id", "feature_key", "kind", "limit", "value")
        read_only_fields = fields


class FeatureOverrideSerializer(PlanFeatureSerializer):
    class Meta:
        model = FeatureOverride
        fields = (
            "id",
            "feature_key",
            "kind",
            "enabled",
            "limit",
            "value",
            "expires_at",
            "reason",
            "actor_name",
            "created_at",
        )
        read_only_fields = fields


class FeatureFilter(filters.FilterSet):
    key = filters.CharFilter()
    kind = filters.ChoiceFilter(choices=Feature.Kind.choices)
    archived = filters.BooleanFilter("archived_at", lookup_expr="isnull", exclude=True)


class Features(TenantListView):
    """Features by key."""

    selector = selectors.features
    serializer_class = FeatureSerializer
    filterset_class = FeatureFilter
    write_roles = CATALOG_WRITERS

    @extend_schema(request=NewFeature, responses={201: FeatureSerializer})
    def post(self, request: Request) -> Response:
        """Make a feature, which nobody has yet; a LIMIT names its billable unit."""
        asked = self.read(NewFeature)
        unit_id = asked.pop("metric_id", None)
        units = listings.billable_units(tenant=self.tenant)
        feature = features.create_feature(
            tenant=self.tenant,
            actor=self.actor,
            now=self.now(),
            unit=found(units, unit_id, field="metricId") if unit_id else None,
            **asked,
        )
        return self.answer(feature, status=201)


class FeatureDetail(TenantDetailView):
    """One feature."""

    selector = selectors.features
    serializer_class = FeatureSerializer
    write_roles = CATALOG_WRITERS

    @extend_schema(request=FeatureEdits)
    def patch(self, request: Request, **path: Any) -> Response:
        """Change its name or description."""
        feature = self.get_object()
        edits = self.read(FeatureEdits)
        return self.answer(
            features.edit_feature(feature=feature, edits=edits, actor=self.actor, now=self.now())
        )

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **path: Any) -> Response:
        """Archive it: nobody has it from now on."""
        features.archive_feature(feature=self.get_object(), actor=self.actor, now=self.now())
        return Response(status=204)


class RatePlanFeatures(TenantAPIView):
    """What everybody on a rate plan has."""

    selector = listings.rate_plans
    serializer_class = PlanFeatureSerializer

    @extend_schema(
        operation_id="rate_plans_features_list", responses=PlanFeatureSerializer(many=True)
    )
    def get(self, request: Request, **path: Any) -> Response:
        """Its features by key."""
        page = self.paginate_queryset(selectors.features_of_plan(self.get_object()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class RatePlanFeature(TenantAPIView):
    """One feature of a rate plan."""

    selector = listings.rate_plans
    serializer_class = PlanFeatureSerializer
    write_roles = CATALOG_WRITERS

    @extend_schema(request=FeatureGrant)
    def put(self, request: Request, key: str, **path: Any) -> Response:
        """Give it to everybody on the plan, at once."""
        plan = self.get_object()
        row = features.grant_to_plan(
            plan=plan,
            feature=selectors.feature_called(self.tenant, key),
            grant=Grant(**self.read(FeatureGrant, may_be_empty=True)),
            actor=self.actor,
            now=self.now(),
        )
        return self.answer(row)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key: str, **path: Any) -> Response:
        """Take it from everybody on the plan, at once."""
        plan = self.get_object()
        feature = selectors.feature_called(self.tenant, key)
        features.take_from_plan(plan=plan, feature=feature, actor=self.actor, now=self.now())
        return Response(status=204)


class SubscriptionFeatures(TenantAPIView):
    """What a subscription has otherwise than its plans say."""

    selector = listings.subscriptions
    serializer_class = FeatureOverrideSerializer

    @extend_schema(
        operation_id="subscriptions_features_list", responses=FeatureOverrideSerializer(many=True)
    )
    def get(self, request: Request, **path: Any) -> Response:
        """Its overrides by the key of their feature; those that have expired too."""
        page = self.paginate_queryset(selectors.overrides_of(self.get_object()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class SubscriptionFeature(TenantAPIView):
    """One feature of a subscription, whatever its plans say."""

    selector = listings.subscriptions
    serializer_class = FeatureOverrideSerializer
    write_roles = CATALOG_WRITERS | WRITERS

    @extend_schema(request=FeatureOverriding)
    def put(self, request: Request, key: str, **path: Any) -> Response:
        """Say what holds instead of the plans, for a while or for good."""
        subscription = self.get_object()
        asked = self.read(FeatureOverriding, may_be_empty=True)
        grant = Grant(asked.pop("limit"), asked.pop("value"))
        row = features.override(
            subscription=subscription,
            feature=selectors.feature_called(self.tenant, key),
            grant=grant,
            actor=self.actor,
            now=self.now(),
            **asked,
        )
        return self.answer(row)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key: str, **path: Any) -> Response:
        """Let the plans say again what holds."""
        subscription = self.get_object()
        features.end_override(
            subscription=subscription,
            feature=selectors.feature_called(self.tenant, key),
            actor=self.actor,
            now=self.now(),
        )
        return Response(status=204)
