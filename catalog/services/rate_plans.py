"""Rate plans: drafted, published once, and from then on never changed but followed by a version."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Unpack

from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Offering, Product, RatePlan, RatePlanVersion
from catalog.selectors.current import draft_of, latest_published
from catalog.services import changes, prices, version_currencies, version_terms
from catalog.services.prices import PriceDraft
from catalog.services.version_currencies import CurrencyFees
from catalog.services.version_terms import VERSION_EDITABLE, VersionTerms

PLAN_EDITABLE = frozenset({"name", "description", "tax_code"})
_PLAN_SHOWN = PLAN_EDITABLE | {"currency"}


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
    tax_code: str = "",
    products: Collection[Product] = (),
    currencies: Sequence[CurrencyFees] = (),
    **terms: Unpack[VersionTerms],
) -> RatePlanVersion:
    """A new plan, as the draft of its version 1."""
    plan = RatePlan(
        tenant=tenant,
        name=name,
        currency=currency,
        description=description,
        tax_code=tax_code,
        created_at=now,
    )
    changes.require_valid(plan)
    changes.require_currency(currency)
    changes.require_own(tenant, *products)
    with changes.conflict_when("rate_plan_name_is_taken_once", _taken(name), field="name"):
        plan.save(force_insert=True)
    plan.products.set(products)
    draft = RatePlanVersion(tenant=tenant, rate_plan=plan, number=1, created_at=now, **terms)
    _insert_draft(draft, price_drafts, currencies)
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
        **changes.state_of(latest, VERSION_EDITABLE),
    )
    _insert_draft(draft, prices.drafts_of(latest), version_currencies.fees_in_currencies(latest))
    after = {"version": draft.number}
    changes.record(locked, action="RATE_PLAN_DRAFTED", actor=actor, now=now, after=after)
    return draft


@transaction.atomic
def edit_draft(
    *,
    version: RatePlanVersion,
    actor: Actor,
    now: datetime,
    fees: Mapping[str, object] | None = None,
    price_drafts: Sequence[PriceDraft] | None = None,
    currencies: Sequence[CurrencyFees] | None = None,
) -> RatePlanVersion:
    """Change some of `VERSION_EDITABLE`, or all prices or currencies, of a draft.

    A published version is a Conflict.
    """
    locked = _locked_version(version)
    if locked.is_published:
        raise Conflict(f"{locked} is published and never changes: draft a new version")
    before = _shown(locked)
    for field, value in (fees or {}).items():
        if field not in VERSION_EDITABLE:
            raise changes.refused(on_the_wire(field), "IMMUTABLE", "cannot be changed")
        setattr(locked, field, value)
    version_terms.settle(locked)
    locked.save(update_fields=VERSION_EDITABLE)
    if currencies is not None:
        version_currencies.replace_currencies(locked, currencies)
    if price_drafts is not None:
        prices.replace_prices(locked, price_drafts)
    prices.require_terms(locked)
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
    version_terms.settle(locked)
    prices.publish_prices(locked)
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
    """Change how a plan is named, described and taxed, and what it prices; never its currency."""
    locked = _locked_plan(plan)
    taken = _taken(edits.get("name"))
    with changes.conflict_when("rate_plan_name_is_taken_once", taken, field="name"):
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


def _insert_draft(
    draft: RatePlanVersion, price_drafts: Sequence[PriceDraft], currencies: Sequence[CurrencyFees]
) -> None:
    version_terms.settle(draft)
    draft.save(force_insert=True)
    version_currencies.replace_currencies(draft, currencies)
    prices.replace_prices(draft, price_drafts)
    prices.require_terms(draft)


def _locked_plan(plan: RatePlan) -> RatePlan:
    rows = RatePlan.objects.for_tenant(plan.tenant_id).select_for_update()
    locked: RatePlan = rows.get(pk=plan.pk)
    return locked


def _locked_version(version: RatePlanVersion) -> RatePlanVersion:
    versions = RatePlanVersion.objects.for_tenant(version.tenant_id).select_related("rate_plan")
    locked: RatePlanVersion = versions.select_for_update(of=("self",)).get(pk=version.pk)
    return locked


def _shown(version: RatePlanVersion) -> dict[str, object]:
    state = changes.state_of(version, VERSION_EDITABLE)
    return state | version_currencies.shown(version) | prices.shown(version)


def _taken(name: object) -> str:
    return f"there is a rate plan named '{name}' already"
