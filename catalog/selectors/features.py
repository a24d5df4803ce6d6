"""Features and who has them, as lists and access checks read them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from django.db.models import QuerySet

from aforo.errors import NotFound
from aforo.tenancy.models import Tenant
from catalog.models import Feature, FeatureOverride, PlanFeature, RatePlan, Subscription


def features(*, tenant: Tenant) -> QuerySet[Feature]:
    """Features by key, archived ones too."""
    return Feature.objects.for_tenant(tenant).select_related("unit").order_by("key", "id")


def feature_called(tenant: Tenant, key: str) -> Feature:
    """The feature with this key; NotFound when there is none."""
    feature = features(tenant=tenant).filter(key=key).first()
    if feature is None:
        raise NotFound(f"there is no feature '{key}'")
    return feature


def features_of_plan(plan: RatePlan) -> QuerySet[PlanFeature]:
    """What everybody on a plan has, by key."""
    rows = PlanFeature.objects.for_tenant(plan.tenant_id).filter(rate_plan=plan)
    return rows.filter(feature__archived_at=None).select_related("feature").order_by("feature__key")


def overrides_of(subscription: Subscription) -> QuerySet[FeatureOverride]:
    """What a subscription has otherwise, by key; what has expired too."""
    rows = FeatureOverride.objects.for_tenant(subscription.tenant_id)
    rows = rows.filter(subscription=subscription, feature__archived_at=None)
    return rows.select_related("feature").order_by("feature__key")


def granted_by_plan(tenant_id: UUID) -> Mapping[UUID, list[PlanFeature]]:
    """By rate plan, what everybody on it has; one statement."""
    rows = PlanFeature.objects.for_tenant(tenant_id).filter(feature__archived_at=None)
    found = defaultdict(list)
    for row in rows.select_related("feature").order_by("feature__key"):
        found[row.rate_plan_id].append(row)
    return found


def overrides_by_subscription(
    tenant_id: UUID, subscription_ids: Collection[UUID]
) -> Mapping[UUID, list[FeatureOverride]]:
    """By subscription, what it has otherwise; one statement."""
    rows = FeatureOverride.objects.for_tenant(tenant_id).filter(
        subscription_id__in=subscription_ids, feature__archived_at=None
    )
    found = defaultdict(list)
    for row in rows.select_related("feature"):
        found[row.subscription_id].append(row)
    return found
