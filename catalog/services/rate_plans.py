"""Rate plans: drafted, published once, and from then on never changed but followed by a version."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.money import ZERO
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Offering, Product, RatePlan, RatePlanVersion
from catalog.selectors.current import draft_of, latest_published
from catalog.services import changes, prices
from catalog.services.prices import PriceDraft

FEES = frozenset({"base_fee", "minimum_spend", "discount_percent", "discount_amount"})
PLAN_EDITABLE = frozenset({"name", "description"})
_PLAN_SHOWN = PLAN_EDITABLE | {"currency"}
_WHOLE = Decimal(100)


@transaction.atomic
def create_rate_plan(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    name: str,
    currency: str,
    price_drafts: Sequence[PriceDraft] = (),
    description: str = "",
    products: Collection[Product] = (),
    base_fee: Decimal = ZERO,
    minimum_spend: Decimal = ZERO,
    discount_percent: Decimal = ZERO,
    discount_amount: Decimal = ZERO,
) -> RatePlanVersion:
    """A new plan, as the draft of its version 1."""
    plan = RatePlan(
        tenant=tenant, name=name, currency=currency, description=description, created_at=now
    )
    changes.require_valid(plan)
    changes.require_currency(currency)
    changes.require_own(tenant, *products)
    with changes.conflict_when("rate_plan_name_is_taken_once", _taken(name)):
        plan.save(force_insert=True)
    plan.products.set(products)
    draft = RatePlanVersion(
        tenant=tenant,
        rate_plan=plan,
        number=1,
        base_fee=base_fee,
        minimum_spend=minimum_spend,
        discount_percent=discount_percent,
        discount_amount=discount_amount,
        created_at=now,
    )
    _insert_draft(draft, price_drafts)
    after = changes.state_of(plan, _PLAN_SHOWN) | _shown(draft)
    changes.record(plan, action="RATE_PLAN_CREATED", actor=actor, now=now, after=after)
    return draft


@transaction.atomic
def draft_next_version(*, plan: RatePlan, actor: Actor, now: datetime) -> RatePlanVersion:
    """A draft that begins as a copy of the latest published version; one draft at a time."""
    locked = _locked_plan(plan)
    latest = latest_published(locked)
    if latest is None:
        raise Refused(f"plan '{locked}' has no published version to begin from")
    if draft_of(locked) is not None:
        raise Conflict(f"plan '{locked}' has a draft already")
    draft = RatePlanVersion(
        tenant_id=locked.tenant_id,
        rate_plan=locked,
        number=latest.number + 1,
        created_at=now,
        **changes.state_of(latest, FEES),
    )
    _insert_draft(
        draft,
        [PriceDraft(row.unit, row.terms, row.timing) for row in prices.price_rows(latest)],
    )
    after = {"version": draft.number}
    changes.record(locked, action="RATE_PLAN_DRAFTED", actor=actor, now=now, after=after)
    return draft


@transaction.atomic
def edit_draft(
    *,
    version: RatePlanVersion,
    actor: Actor,
    now: datetime,
    fees: Mapping[str, Decimal] | None = None,
    price_drafts: Sequence[PriceDraft] | None = None,
) -> RatePlanVersion:
    """Change fees (`FEES`) of a draft, or all of its prices. A published version is a Conflict."""
    locked = _locked_version(version)
    if locked.is_published:
        raise Conflict(f"{locked} is published and never changes: draft a new version")
    before = _shown(locked)
    for field, value in (fees or {}).items():
        if field not in FEES:
            raise changes.refused(on_the_wire(field), "IMMUTABLE", "cannot be changed")
        setattr(locked, field, value)
    _require_sound(locked)
    locked.save(update_fields=FEES)
    if price_drafts is not None:
        prices.replace_prices(locked, price_drafts)
    changes.record(
        locked.rate_plan,
        action="RATE_PLAN_DRAFT_UPDATED",
        actor=actor,
        now=now,
        before=before,
        after=dict.fromkeys(before) | _shown(locked),
    )
    return locked


@transaction.atomic
def publish_version(*, version: RatePlanVersion, actor: Actor, now: datetime) -> RatePlanVersion:
    """Publish a draft, once: a second caller waits and gets what the first one published.

    New subscriptions are pinned to it; those that exist stay on their version.
    """
    locked = _locked_version(version)
    if locked.is_published:
        return locked
    _require_sound(locked)
    prices.require_sound_prices(locked)
    locked.status = RatePlanVersion.Status.PUBLISHED
    locked.published_at = now
    locked.save(update_fields=["status", "published_at"])
    changes.record(
        locked.rate_plan,
        action="RATE_PLAN_PUBLISHED",
        actor=actor,
        now=now,
        after={"version": locked.number} | _shown(locked),
    )
    return locked


@transaction.atomic
def edit_plan(
    *,
    plan: RatePlan,
    edits: Mapping[str, object],
    actor: Actor,
    now: datetime,
    products: Collection[Product] | None = None,
) -> RatePlan:
    """Change how a plan is named and described, and what it prices; never its currency."""
    locked = _locked_plan(plan)
    with changes.conflict_when("rate_plan_name_is_taken_once", _taken(edits.get("name"))):
        changes.edit(
            locked,
            edits,
            editable=PLAN_EDITABLE,
            action="RATE_PLAN_UPDATED",
            actor=actor,
            now=now,
        )
    if products is not None:
        changes.set_products(locked, products, action="RATE_PLAN_UPDATED", actor=actor, now=now)
    return locked


@transaction.atomic
def archive_plan(*, plan: RatePlan, actor: Actor, now: datetime) -> RatePlan:
    """Take a plan out of use; refused while an active offering sells it. Subscriptions go on."""
    locked = _locked_plan(plan)
    if locked.archived_at is not None:
        return locked
    offerings = Offering.objects.for_tenant(plan.tenant_id).filter(
        items__rate_plan=locked, status=Offering.Status.ACTIVE
    )
    if offerings.exists():
        raise Conflict(f"plan '{locked}' is sold by an active offering")
    locked.archived_at = now
    locked.save(update_fields=["archived_at"])
    after = {"archived_at": now}
    changes.record(locked, action="RATE_PLAN_ARCHIVED", actor=actor, now=now, after=after)
    return locked


def _insert_draft(draft: RatePlanVersion, price_drafts: Sequence[PriceDraft]) -> None:
    _require_sound(draft)
    draft.save(force_insert=True)
    prices.replace_prices(draft, price_drafts)


def _locked_plan(plan: RatePlan) -> RatePlan:
    rows = RatePlan.objects.for_tenant(plan.tenant_id).select_for_update()
    locked: RatePlan = rows.get(pk=plan.pk)
    return locked


def _locked_version(version: RatePlanVersion) -> RatePlanVersion:
    versions = RatePlanVersion.objects.for_tenant(version.tenant_id).select_related("rate_plan")
    locked: RatePlanVersion = versions.select_for_update(of=("self",)).get(pk=version.pk)
    return locked


def _require_sound(version: RatePlanVersion) -> None:
    changes.require_valid(version)
    for field in sorted(FEES):
        if getattr(version, field) < ZERO:
            raise changes.refused(on_the_wire(field), "INVALID", "must not be negative")
    if version.discount_percent > _WHOLE:
        raise changes.refused("discountPercent", "INVALID", "must be at most 100")


def _shown(version: RatePlanVersion) -> dict[str, object]:
    return changes.state_of(version, FEES) | prices.shown(version)


def _taken(name: object) -> str:
    return f"there is a rate plan named '{name}' already"
