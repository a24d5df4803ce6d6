"""Margin guards: made, changed and retired by people, in force with the next evaluation."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from aforo.money import ZERO
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant, TenantQuerySet
from aforo.tenancy.services.actors import Actor
from catalog.models import Customer, RatePlan
from catalog.services import changes
from metering.margin import nudges
from metering.margin.rehearsal import Rehearsal, rehearse
from metering.models import AlertKind, CustomerTag, GuardFloor, MarginGuard, MarginState
from metering.selectors.guards import rule_of, tags_of
from metering.services.alerts import recover_alerts
from metering.services.look_alone import look_alone

EDITABLE = (
    "code",
    "name",
    "unit",
    "scope",
    "rate_plan",
    "customer",
    "cohort",
    "cohort_value",
    "mode",
    "warn_below",
    "throttle_below",
    "block_below",
    "warn_channels",
    "throttle_channels",
    "block_channels",
    "throttle_rate",
    "requests_per_second",
    "cost_floor",
    "retry_after",
    "is_active",
)
_MARGIN_KINDS = (
    AlertKind.MARGIN_WARNING,
    AlertKind.MARGIN_THROTTLED,
    AlertKind.MARGIN_BLOCKED,
)
Floors = Mapping[RatePlan, Decimal]


@transaction.atomic
def create_guard(
    *, guard: MarginGuard, floors: Floors | None = None, actor: Actor, now: datetime
) -> MarginGuard:
    """Store a new guard; it judges from the next evaluation on."""
    guard.created_at = now
    _require_sound(guard, floors or {})
    with _one_code(guard):
        guard.save(force_insert=True)
    _set_floors(guard, floors or {})
    after = changes.state_of(guard, EDITABLE) | {"floors": _told(floors or {})}
    changes.record(guard, action="MARGIN_GUARD_CREATED", actor=actor, now=now, after=after)
    _look_soon(guard)
    return guard


@transaction.atomic
def edit_guard(
    *,
    guard: MarginGuard,
    edits: Mapping[str, object],
    floors: Floors | None = None,
    actor: Actor,
    now: datetime,
) -> MarginGuard:
    """Change some of `EDITABLE`, and the floors unless they are None.

    Another mode or unit begins anew: what it had held is let go and judged again. A look that is
    under way is waited for: it would write down again what is let go, and nobody would be told.
    """
    look_alone(guard.tenant_id)
    locked = locked_guard(guard)
    fixed = sorted(edits.keys() - set(EDITABLE))
    if fixed:
        raise changes.refused(fixed[0], "IMMUTABLE", "cannot be changed")
    before = changes.state_of(locked, edits)
    for field, value in edits.items():
        setattr(locked, field, value)
    kept = _floors_of(locked)
    _require_sound(locked, kept if floors is None else floors)
    after = dict(edits)
    if floors is not None and dict(floors) != kept:
        before["floors"], after["floors"] = _told(kept), _told(floors)
        _set_floors(locked, floors)
    if before == after:
        return locked
    with _one_code(locked):
        locked.save()
    changes.record(
        locked, action="MARGIN_GUARD_UPDATED", actor=actor, now=now, before=before, after=after
    )
    if any(before.get(field) != after.get(field) for field in _BEGINS_ANEW):
        _let_go(locked, now=now)
    _look_soon(locked)
    return locked


_BEGINS_ANEW = ("mode", "unit")


@transaction.atomic
def archive_guard(*, guard: MarginGuard, actor: Actor, now: datetime) -> MarginGuard:
    """Retire it: everybody whom it holds is let go by the next evaluation. Again does nothing."""
    locked = locked_guard(guard)
    if locked.archived_at is None:
        locked.archived_at = now
        locked.save(update_fields=["archived_at"])
        changes.record(
            locked, action="MARGIN_GUARD_ARCHIVED", actor=actor, now=now, after={"archived_at": now}
        )
        _look_soon(locked)
    return locked


def preview_guard(*, guard: MarginGuard, floors: Floors | None = None, now: datetime) -> Rehearsal:
    """What the guard, stored or not, would have done over the last 30 days; changes nothing."""
    _require_sound(guard, floors or {})
    rule = rule_of(guard, {plan.pk: percent for plan, percent in (floors or {}).items()})
    return rehearse(guard.tenant, rule=rule, tags=tags_of(guard.tenant_id), now=now)


@transaction.atomic
def tag_customer(
    *, customer: Customer, tags: Collection[str], actor: Actor, now: datetime
) -> list[str]:
    """Say anew which tags a customer has; what they are now, sorted."""
    wanted = sorted({tag.strip() for tag in tags})
    rows = _tags_alone(customer)
    kept = sorted(rows.values_list("tag", flat=True))
    for tag in wanted:
        if not tag or len(tag) > _LONGEST_TAG:
            raise changes.refused("tags", "INVALID", f"have 1 to {_LONGEST_TAG} characters")
    if wanted != kept:
        rows.exclude(tag__in=wanted).delete()
        CustomerTag.objects.bulk_create(
            CustomerTag(tenant_id=customer.tenant_id, customer=customer, tag=tag, created_at=now)
            for tag in wanted
            if tag not in kept
        )
        changes.record(
            customer,
            action="CUSTOMER_TAGGED",
            actor=actor,
            now=now,
            before={"tags": kept},
            after={"tags": wanted},
        )
    return wanted


_LONGEST_TAG = 80


@transaction.atomic
def change_tags(
    *,
    customer: Customer,
    added: Collection[str] = (),
    removed: Collection[str] = (),
    actor: Actor,
    now: datetime,
) -> list[str]:
    """Add to the tags that a customer has, and take from them; what they are now, sorted."""
    kept = set(_tags_alone(customer).values_list("tag", flat=True))
    wanted = kept.difference(removed).union(added)
    return tag_customer(customer=customer, tags=wanted, actor=actor, now=now)


def _tags_alone(customer: Customer) -> TenantQuerySet:
    """The tags, to be read one after the other: of two at once, the second finds the first's."""
    customers = Customer.objects.for_tenant(customer.tenant_id).select_for_update(no_key=True)
    customers.get(pk=customer.pk)
    return CustomerTag.objects.for_tenant(customer.tenant_id).filter(customer=customer)


def locked_guard(guard: MarginGuard) -> MarginGuard:
    """The row under its lock."""
    rows = MarginGuard.objects.for_tenant(guard.tenant_id).select_for_update(no_key=True)
    locked: MarginGuard = rows.get(pk=guard.pk)
    return locked


def _one_code(guard: MarginGuard) -> AbstractContextManager[None]:
    taken = f"there is a guard '{guard.code}' already"
    return changes.conflict_when("margin_guard_code_is_taken_once", taken, field="code")


def _require_sound(guard: MarginGuard, floors: Floors) -> None:
    owned = (guard.unit, guard.rate_plan, guard.customer, *floors)
    changes.require_own(guard.tenant_id, *(row for row in owned if row is not None))
    changes.require_valid(guard)
    _require_scope(guard)
    if not guard.warn_below >= guard.throttle_below >= guard.block_below:
        reason = "warnBelow, throttleBelow and blockBelow fall in this order"
        raise changes.refused("throttleBelow", "INVALID", reason)
    if guard.throttle_rate > _ALL:
        raise changes.refused("throttleRate", "INVALID", "is a percentage, from 0 to 100")
    if guard.requests_per_second is not None and guard.requests_per_second <= ZERO:
        raise changes.refused("requestsPerSecond", "INVALID", "is more than zero, or null")
    if guard.cost_floor < ZERO:
        raise changes.refused("costFloor", "INVALID", "must not be negative")


_ALL = 100


def _require_scope(guard: MarginGuard) -> None:
    scopes = MarginGuard.Scope
    named = {
        scopes.PLAN: ("planId", guard.rate_plan_id),
        scopes.CUSTOMER: ("customerId", guard.customer_id),
        scopes.COHORT: ("cohort", guard.cohort and guard.cohort_value),
    }
    for scope, (field, value) in named.items():
        if guard.scope == scope and not value:
            raise changes.refused(field, "REQUIRED", f"says whom the scope {scope.value} is about")
        if guard.scope != scope and value:
            raise changes.refused(field, "INVALID", f"is of the scope {scope.value} alone")
    if guard.scope != scopes.COHORT and (guard.cohort or guard.cohort_value):
        raise changes.refused("cohort", "INVALID", "is of the scope COHORT alone")


def _floors_of(guard: MarginGuard) -> dict[RatePlan, Decimal]:
    rows = GuardFloor.objects.for_tenant(guard.tenant_id).filter(guard=guard)
    return {row.rate_plan: row.percent for row in rows.select_related("rate_plan")}


def _set_floors(guard: MarginGuard, floors: Floors) -> None:
    GuardFloor.objects.for_tenant(guard.tenant_id).filter(guard=guard).delete()
    rows = [
        GuardFloor(tenant_id=guard.tenant_id, guard=guard, rate_plan=plan, percent=percent)
        for plan, percent in floors.items()
    ]
    for row in rows:
        changes.require_valid(row)
    GuardFloor.objects.bulk_create(rows)


def _told(floors: Floors) -> dict[str, object]:
    return {plan.name: percent for plan, percent in floors.items()}


def _let_go(guard: MarginGuard, *, now: datetime) -> None:
    """Close its alerts and forget where its customers stood: the next look tells it anew."""
    states = MarginState.objects.for_tenant(guard.tenant_id).filter(guard=guard)
    levels = MarginState._meta.get_field("level").choices or ()  # noqa: SLF001 - public API
    subjects = [
        f"{guard.pk}:{customer_id}:{level}"
        for customer_id in states.values_list("customer_id", flat=True)
        for level, _ in levels
    ]
    for kind in _MARGIN_KINDS:
        recover_alerts(tenant_id=guard.tenant_id, kind=kind, subjects=subjects, now=now)
    states.update(level="NONE", since=now)


def _look_soon(guard: MarginGuard) -> None:
    """Everybody is looked at within seconds; Beat does so every 30 in any case."""
    enqueue(nudges.TASK, tenant_id=str(guard.tenant_id), everybody=True)


def held_customers(guard_id: UUID, tenant: Tenant) -> int:
    """How many customers a guard holds at any level."""
    rows = MarginState.objects.for_tenant(tenant).filter(guard_id=guard_id)
    return int(rows.exclude(level="NONE").count())
