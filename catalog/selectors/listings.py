"""What lists and details show: the rows of one tenant, with all that an answer needs of others."""

from uuid import UUID

from django.db.models import Count, Prefetch, Q, QuerySet

from aforo.tenancy.models import Tenant
from catalog.models import (
    BillableUnit,
    Customer,
    CustomerAlias,
    Offering,
    OfferingPlan,
    Product,
    RatePlan,
    RatePlanVersion,
    Subscription,
    SubscriptionKey,
    SubscriptionPeriod,
    SubscriptionPhase,
    SubscriptionPlan,
    UnitPrice,
)


def products(*, tenant: Tenant) -> QuerySet[Product]:
    """Products by name, archived ones too."""
    return Product.objects.for_tenant(tenant).order_by("name", "id")


def billable_units(*, tenant: Tenant) -> QuerySet[BillableUnit]:
    """Units by name, archived ones too."""
    units = BillableUnit.objects.for_tenant(tenant).order_by("name", "id")
    return units.prefetch_related("products")


def rate_plans(*, tenant: Tenant) -> QuerySet[RatePlan]:
    """Plans by name with their versions, newest first, and the prices of those."""
    prices = UnitPrice.objects.for_tenant(tenant).select_related("unit").order_by("position", "id")
    versions = RatePlanVersion.objects.for_tenant(tenant).order_by("-number")
    return (
        RatePlan.objects.for_tenant(tenant)
        .order_by("name", "id")
        .prefetch_related(
            "products",
            Prefetch(
                "versions", versions.prefetch_related(Prefetch("prices", prices), "currencies")
            ),
        )
    )


def offerings(*, tenant: Tenant) -> QuerySet[Offering]:
    """Offerings by code with their plans in order."""
    items = OfferingPlan.objects.for_tenant(tenant).select_related("rate_plan")
    return (
        Offering.objects.for_tenant(tenant)
        .order_by("code", "id")
        .prefetch_related(Prefetch("items", items.order_by("position", "id")))
    )


def customers(*, tenant: Tenant) -> QuerySet[Customer]:
    """Customers by external id with the number of their aliases."""
    rows: QuerySet[Customer] = Customer.objects.for_tenant(tenant)
    return rows.order_by("external_id", "id").annotate(alias_count=Count("aliases"))


def customer_aliases(*, tenant: Tenant) -> QuerySet[CustomerAlias]:
    """Aliases with their customers; the digests stay here."""
    rows = CustomerAlias.objects.for_tenant(tenant).select_related("customer")
    return rows.order_by("created_at", "id")


def subscriptions(*, tenant: Tenant) -> QuerySet[Subscription]:
    """Subscriptions, newest first, with what they are made of."""
    pinned = SubscriptionPlan.objects.for_tenant(tenant).select_related("version__rate_plan")
    return (
        Subscription.objects.for_tenant(tenant)
        .select_related("customer", "offering", "billing_entity")
        .order_by("-created_at", "-id")
        .prefetch_related(Prefetch("plans", pinned.order_by("position", "id")))
    )


def subscription_periods(*, tenant: Tenant) -> QuerySet[SubscriptionPeriod]:
    """Stored periods in order of time."""
    return SubscriptionPeriod.objects.for_tenant(tenant).order_by("start_at")


def subscription_phases(*, tenant: Tenant) -> QuerySet[SubscriptionPhase]:
    """What subscriptions came through, in order of time."""
    return SubscriptionPhase.objects.for_tenant(tenant).order_by("started_at", "id")


def subscription_keys(*, tenant: Tenant) -> QuerySet[SubscriptionKey]:
    """Keys that were given out for subscriptions, newest first."""
    rows = SubscriptionKey.objects.for_tenant(tenant).select_related("key__tenant")
    return rows.order_by("-key__created_at", "-id")


def published_versions(*, tenant: Tenant) -> QuerySet[RatePlanVersion]:
    """Versions that can be sold, with their plans."""
    rows = RatePlanVersion.objects.for_tenant(tenant).select_related("rate_plan")
    return rows.filter(status=RatePlanVersion.Status.PUBLISHED).order_by("rate_plan", "number")


def customer_called(name: str, prefix: str = "") -> Q:
    """Rows whose customer has this external id or own id; `prefix` leads from a row to it."""
    condition = Q(**{f"{prefix}external_id": name})
    try:
        return condition | Q(**{f"{prefix}id": UUID(name)})
    except ValueError:
        return condition
