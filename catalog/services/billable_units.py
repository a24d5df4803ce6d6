"""Billable units: what is counted, made one by one or from templates."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypedDict, Unpack

from django.db import transaction

from aforo.errors import Conflict, NotFound
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.metric_templates import TEMPLATES, MetricTemplate
from catalog.models import BillableUnit, Product, Subscription
from catalog.models.billable_units import Aggregation
from catalog.models.products import ProductType
from catalog.services import changes
from catalog.services.unit_checks import MEASURES, require_kept, require_sound

EDITABLE = (
    frozenset(
        {
            "name",
            "unit_label",
            "description",
            "aggregation",
            "event_field",
            "source_metric",
            "filter_conditions",
            "allowed_sources",
            "key_fields",
            "unit_cost",
            "tax_code",
        }
    )
    | MEASURES
)
_SHOWN = EDITABLE | {"product_type"}
ALIASES = {"COUNT_DISTINCT": Aggregation.UNIQUE}  # as clients call it


class UnitFields(TypedDict, total=False):
    """What can be said of a unit when it is created, as its columns are named."""

    unit_label: str
    description: str
    event_field: str
    source_metric: str
    unit_cost: Decimal
    divide_by: Decimal
    rounding: str
    rounding_places: int
    recurring: bool
    tax_code: str


@transaction.atomic
def create_unit(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    name: str,
    aggregation: str = Aggregation.COUNT,
    filter_conditions: Sequence[Mapping[str, str]] = (),
    allowed_sources: Sequence[str] = (),
    key_fields: Sequence[str] = (),
    product_type: str = ProductType.API,
    products: Collection[Product] = (),
    **fields: Unpack[UnitFields],
) -> BillableUnit:
    """A new billable unit. It counts events from now on; nothing that came before."""
    unit = BillableUnit(
        tenant=tenant,
        name=name,
        aggregation=aggregation_named(aggregation),
        filter_conditions=[dict(condition) for condition in filter_conditions],
        allowed_sources=list(allowed_sources),
        key_fields=list(key_fields),
        product_type=product_type,
        created_at=now,
        **fields,
    )
    require_sound(unit)
    changes.require_own(tenant, *products)
    with changes.conflict_when("billable_unit_name_is_taken_once", _taken(name), field="name"):
        unit.save(force_insert=True)
    unit.products.set(products)
    shown = changes.state_of(unit, _SHOWN)
    changes.record(unit, action="BILLABLE_UNIT_CREATED", actor=actor, now=now, after=shown)
    return unit


@transaction.atomic
def edit_unit(
    *,
    unit: BillableUnit,
    edits: Mapping[str, object],
    actor: Actor,
    now: datetime,
    products: Collection[Product] | None = None,
) -> BillableUnit:
    """Change some of `EDITABLE` or the products, for events that are counted from now on.

    The aggregation stays once a rate plan prices the unit, and so do its measures once a published
    one does: totals and prices were made with them.
    """
    locked = _locked(unit)
    if "aggregation" in edits:
        edits = {**edits, "aggregation": aggregation_named(str(edits["aggregation"]))}
    require_kept(locked, edits)
    state = changes.state_of(locked, _SHOWN)
    known = {field: value for field, value in edits.items() if field in EDITABLE}
    require_sound(
        BillableUnit(tenant_id=locked.tenant_id, created_at=locked.created_at, **(state | known))
    )
    taken = _taken(edits.get("name"))
    with changes.conflict_when("billable_unit_name_is_taken_once", taken, field="name"):
        changes.edit(
            locked, edits, editable=EDITABLE, action="BILLABLE_UNIT_UPDATED", actor=actor, now=now
        )
    if products is not None:
        changes.set_products(locked, products, action="BILLABLE_UNIT_UPDATED", actor=actor, now=now)
    return locked


@transaction.atomic
def archive_unit(*, unit: BillableUnit, actor: Actor, now: datetime) -> BillableUnit:
    """Stop counting `unit`; refused while an active subscription is priced by it."""
    locked = _locked(unit)
    if locked.archived_at is not None:
        return locked
    if _is_subscribed(locked):
        raise Conflict(f"billable unit '{locked}' has active subscriptions", code="METRIC_BLOCKED")
    locked.archived_at = now
    locked.save(update_fields=["archived_at"])
    changes.record(
        locked,
        action="BILLABLE_UNIT_ARCHIVED",
        actor=actor,
        now=now,
        before={"archived_at": None},
        after={"archived_at": now},
    )
    return locked


@transaction.atomic
def create_from_templates(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    product_type: str,
    template_names: Sequence[str],
) -> list[BillableUnit]:
    """The units of these templates, in their order: made where they are not there yet."""
    known = {template.name: template for template in templates_of(product_type)}
    for index, name in enumerate(template_names):
        if name not in known:
            raise changes.refused(
                f"templateNames[{index}]", "UNKNOWN", f"{product_type} has no template '{name}'"
            )
    # One caller after another: the second one finds what the first one made.
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    units = BillableUnit.objects.for_tenant(tenant).filter(name__in=template_names)
    existing = {unit.name: unit for unit in units}
    for name in dict.fromkeys(template_names):
        if name not in existing:
            existing[name] = _create_from(
                known[name], tenant=tenant, actor=actor, now=now, product_type=product_type
            )
    return [existing[name] for name in template_names]


def templates_of(product_type: str) -> tuple[MetricTemplate, ...]:
    """The templates of a product type; NotFound when there is no such type."""
    if product_type not in ProductType:
        raise NotFound(f"there is no product type '{product_type}'")
    return TEMPLATES.get(product_type, ())


def aggregation_named(name: str) -> Aggregation:
    """The aggregation that clients call `name`; COUNT_DISTINCT is UNIQUE."""
    if name in ALIASES:
        return ALIASES[name]
    if name not in Aggregation:
        known = ", ".join([*Aggregation, *ALIASES])
        raise changes.refused("aggregationType", "INVALID", f"must be one of {known}")
    return Aggregation(name)


def name_of_aggregation(aggregation: str) -> str:
    """What clients call an aggregation: the reverse of `aggregation_named`."""
    return next((alias for alias, own in ALIASES.items() if own == aggregation), aggregation)


def _create_from(
    template: MetricTemplate, *, tenant: Tenant, actor: Actor, now: datetime, product_type: str
) -> BillableUnit:
    return create_unit(
        tenant=tenant,
        actor=actor,
        now=now,
        name=template.name,
        aggregation=template.aggregation,
        event_field=template.event_field,
        unit_label=template.unit_label,
        description=template.description,
        product_type=product_type,
    )


def _locked(unit: BillableUnit) -> BillableUnit:
    rows = BillableUnit.objects.for_tenant(unit.tenant_id).select_for_update()
    locked: BillableUnit = rows.get(pk=unit.pk)
    return locked


def _is_subscribed(unit: BillableUnit) -> bool:
    active = Subscription.objects.for_tenant(unit.tenant_id).filter(
        plans__version__prices__unit=unit
    )
    return active.exclude(state__in=Subscription.OVER).exists()


def _taken(name: object) -> str:
    return f"there is a billable unit named '{name}' already"
