"""Sandboxes: the twin of a live tenant sells the same, to customers of its own."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db import transaction

from aforo.errors import Refused
from aforo.ids import new_id
from aforo.tenancy.models import Tenant, TenantOwned
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.tenants import bump_catalog
from catalog.models import (
    BillableUnit,
    BillingEntity,
    Feature,
    Offering,
    OfferingPlan,
    PlanFeature,
    Product,
    RatePlan,
    RatePlanVersion,
    UnitPrice,
    VersionCurrency,
)
from catalog.selectors.current import default_entity

Row = TypeVar("Row", bound=TenantOwned)
Twins = dict[UUID, Row]  # by the id of the live row
_Version = RatePlanVersion.Status


@transaction.atomic
def clone_catalog(*, live: Tenant, sandbox: Tenant, actor: Actor, now: datetime) -> dict[str, int]:
    """Copy what `live` sells and `sandbox` does not have yet; how many of each.

    Products, units, plans with their published versions, offerings and billing entities, each
    known by its name or code. What is there already is left as it is; customers never come.
    """
    if sandbox.live_twin_id != live.pk:
        raise Refused(f"tenant '{sandbox}' is not the sandbox of '{live}'")
    Tenant.objects.select_for_update(no_key=True).get(pk=sandbox.pk)  # one cloner at a time
    entities = _clone_entities(live, sandbox)
    products, new_products = _clone(
        Product.objects.for_tenant(live).exclude(status=Product.Status.ARCHIVED),
        Product.objects.for_tenant(sandbox).exclude(status=Product.Status.ARCHIVED),
        "name",
        sandbox,
    )
    units, new_units = _clone(
        BillableUnit.objects.for_tenant(live),
        BillableUnit.objects.for_tenant(sandbox),
        "name",
        sandbox,
    )
    _link_products(BillableUnit.objects.for_tenant(live), units, new_units, products)
    plans, new_plans = _clone_plans(live, sandbox, units)
    _link_products(RatePlan.objects.for_tenant(live), plans, new_plans, products)
    offerings = _clone_offerings(live, sandbox, plans)
    features = _clone_features(live, sandbox, units, {pk: plans[pk] for pk in new_plans})
    copied = {
        "billing_entities": entities,
        "products": len(new_products),
        "billable_units": len(new_units),
        "rate_plans": len(new_plans),
        "offerings": offerings,
        "features": features,
    }
    changes = audit.differences({}, copied)
    audit.record(
        tenant=sandbox,
        actor=actor,
        action="CATALOG_CLONED",
        target=sandbox,
        now=now,
        changes=changes,
    )
    bump_catalog(sandbox)
    return copied


def _clone_entities(live: Tenant, sandbox: Tenant) -> int:
    """Invoice numbers of the sandbox begin at one; a default entity that it has stays."""
    kept = default_entity(sandbox)
    fields: dict[str, object] = {"next_invoice_number": 1}
    if kept is not None:
        fields["is_default"] = False
    _, new = _clone(
        BillingEntity.objects.for_tenant(live),
        BillingEntity.objects.for_tenant(sandbox),
        "code",
        sandbox,
        **fields,
    )
    return len(new)


def _clone_plans(
    live: Tenant, sandbox: Tenant, units: Twins[BillableUnit]
) -> tuple[Twins[RatePlan], list[UUID]]:
    twins, new = _clone(
        RatePlan.objects.for_tenant(live).filter(archived_at=None),
        RatePlan.objects.for_tenant(sandbox).filter(archived_at=None),
        "name",
        sandbox,
    )
    versions = RatePlanVersion.objects.for_tenant(live).filter(
        rate_plan_id__in=new, status=_Version.PUBLISHED
    )
    for version in versions.order_by("rate_plan", "number").prefetch_related(
        "prices", "currencies"
    ):
        _clone_version(version, twins[version.rate_plan_id], units)
    return twins, new


def _clone_version(version: RatePlanVersion, plan: RatePlan, units: Twins[BillableUnit]) -> None:
    """As a draft first: the database takes no prices or fees for a published version."""
    draft = _copy(
        version, plan.tenant, rate_plan_id=plan.pk, status=_Version.DRAFT, published_at=None
    )
    draft.save(force_insert=True)
    UnitPrice.objects.bulk_create(
        _copy(price, plan.tenant, version_id=draft.pk, unit_id=units[price.unit_id].pk)
        for price in version.prices.all()
    )
    VersionCurrency.objects.bulk_create(
        _copy(fees, plan.tenant, version_id=draft.pk) for fees in version.currencies.all()
    )
    draft.status, draft.published_at = _Version.PUBLISHED, version.published_at
    draft.save(update_fields=["status", "published_at"])


def _clone_offerings(live: Tenant, sandbox: Tenant, plans: Twins[RatePlan]) -> int:
    twins, new = _clone(
        Offering.objects.for_tenant(live).exclude(status=Offering.Status.ARCHIVED),
        Offering.objects.for_tenant(sandbox),
        "code",
        sandbox,
    )
    items = OfferingPlan.objects.for_tenant(live).filter(
        offering_id__in=new, rate_plan_id__in=plans
    )
    OfferingPlan.objects.bulk_create(
        _copy(
            item,
            sandbox,
            offering_id=twins[item.offering_id].pk,
            rate_plan_id=plans[item.rate_plan_id].pk,
        )
        for item in items
    )
    return len(new)


def _clone_features(
    live: Tenant,
    sandbox: Tenant,
    units: Twins[BillableUnit],
    new_plans: Mapping[UUID, RatePlan],
) -> int:
    """Features that the sandbox has not, and what plans that are new there have of all of them."""
    rows = Feature.objects.for_tenant(live).filter(archived_at=None)
    there = {feature.key: feature for feature in Feature.objects.for_tenant(sandbox)}
    twins, new = {}, 0
    for feature in rows:
        twin = there.get(feature.key)
        if twin is None:
            unit_id = units[feature.unit_id].pk if feature.unit_id else None
            twin = _copy(feature, sandbox, unit_id=unit_id)
            twin.save(force_insert=True)
            new += 1
        twins[feature.pk] = twin
    granted = PlanFeature.objects.for_tenant(live).filter(
        rate_plan_id__in=new_plans, feature_id__in=twins
    )
    PlanFeature.objects.bulk_create(
        _copy(
            row,
            sandbox,
            rate_plan_id=new_plans[row.rate_plan_id].pk,
            feature_id=twins[row.feature_id].pk,
        )
        for row in granted
    )
    return new


def _link_products(
    owners: Iterable[BillableUnit] | Iterable[RatePlan],
    twins: Mapping[UUID, BillableUnit] | Mapping[UUID, RatePlan],
    new: list[UUID],
    products: Twins[Product],
) -> None:
    for owner in owners:
        if owner.pk in new:
            live_ids = owner.products.values_list("pk", flat=True)
            twins[owner.pk].products.set([products[pk] for pk in live_ids if pk in products])


def _clone(
    rows: Iterable[Row], existing: Iterable[Row], key: str, sandbox: Tenant, **replaced: object
) -> tuple[Twins[Row], list[UUID]]:
    """The twin of each row, found by `key` or newly stored, and the live ids of the new ones."""
    there = {getattr(row, key): row for row in existing}
    twins: Twins[Row] = {}
    new = []
    for row in rows:
        twin = there.get(getattr(row, key))
        if twin is None:
            twin = _copy(row, sandbox, **replaced)
            twin.save(force_insert=True)
            new.append(row.pk)
        twins[row.pk] = twin
    return twins, new


def _copy(row: Row, sandbox: Tenant, **replaced: object) -> Row:
    """A row of `sandbox` that says the same as `row`; not stored yet."""
    columns = row._meta.concrete_fields  # noqa: SLF001 - Django's public API in spite of its name
    values = {column.attname: getattr(row, column.attname) for column in columns}
    own = {"id": new_id(), "tenant_id": sandbox.pk}
    return type(row)(**(values | own | replaced))
