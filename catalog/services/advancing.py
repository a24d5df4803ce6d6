"""What time does to subscriptions: they begin, leave their trials, change, expire.

By each tenant's own clock, set by set, and as of the moment at which it was due; a second time
changes nothing. The phases are the record of it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.outbox.services import publish_many
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.tenants import bump_catalog
from catalog.models import Subscription, SubscriptionPhase
from catalog.selectors.current import (
    EXPIRES_SOON,
    clocks_with_due_subscriptions,
    subscriptions_due,
)
from catalog.services import lifecycle, subscription_keys

PAGE = 500  # subscriptions locked at a time; the statements per page are a constant
State = Subscription.State
_SAVED = ("state", "end_at", "offering", "next_offering", "next_offering_at")


@dataclass(frozen=True, slots=True)
class Step:
    """One state that time brings a subscription into, and since when."""

    state: str
    at: datetime
    reason: str


def advance_all(*, now: datetime) -> int:
    """Let time take effect for all tenants; how many subscriptions it had an effect on."""
    clocks = clocks_with_due_subscriptions(now)
    return sum(advance_tenant(tenant_id, now=at) for tenant_id, at in clocks.items())


def advance_tenant(tenant_id: UUID, *, now: datetime) -> int:
    """Let time take effect for a tenant whose clock shows `now`; on how many subscriptions."""
    ids = list(subscriptions_due(tenant_id, now).order_by("pk").values_list("pk", flat=True))
    changed = 0
    for first in range(0, len(ids), PAGE):
        changed += _advance_page(tenant_id, ids[first : first + PAGE], now)
    return changed


def steps(subscription: Subscription, now: datetime) -> Iterator[Step]:
    """The states that `subscription` comes through by `now`, in order; each one legal."""
    state = subscription.state
    while True:
        step = _next(subscription, state, now)
        if step is None:
            return
        yield step
        state = step.state


def _next(subscription: Subscription, state: str, now: datetime) -> Step | None:
    end, trial_end = subscription.end_at, subscription.trial_end_at
    match state:
        case State.CREATED if subscription.start_at <= now:
            first = State.ACTIVE if trial_end is None else State.TRIALING
            return Step(first, subscription.start_at, "it began")
        case State.TRIALING:
            return _after_trial(subscription, now)
        case State.CREATED | State.CANCELLED | State.EXPIRED:
            return None
    if end is not None and end <= now:
        over = State.CANCELLED if subscription.cancels_at_end else State.EXPIRED
        return Step(over, end, "its end came")
    if state == State.ACTIVE and end is not None and end - EXPIRES_SOON <= now:
        return Step(State.EXPIRING_SOON, now, "its end comes near")
    return None


def _after_trial(subscription: Subscription, now: datetime) -> Step | None:
    end = subscription.stops_at  # an unpaid trial that ends is over: it may only be cancelled
    trial_end = subscription.trial_end_at
    if end is not None and (trial_end is None or end <= trial_end):
        return Step(State.CANCELLED, end, "its trial ended unpaid") if end <= now else None
    if trial_end is not None and trial_end <= now:
        return Step(State.ACTIVE, trial_end, "its trial ended")
    return None


@transaction.atomic
def _advance_page(tenant_id: UUID, ids: Sequence[UUID], now: datetime) -> int:
    """Lock the subscriptions, then look what is due: a second caller finds it done."""
    chosen = Subscription.objects.for_tenant(tenant_id).filter(pk__in=ids).order_by("pk")
    list(chosen.select_for_update(no_key=True).values_list("pk"))
    rows = chosen.select_related("customer", "offering", "next_offering")
    actor = Actor.system("advance_subscriptions")
    phases: list[SubscriptionPhase] = []
    told: defaultdict[str, dict[UUID, dict[str, object]]] = defaultdict(dict)
    changed: list[Subscription] = []
    for row in rows:
        count = len(phases)
        for fact, phase in _take_effect(row, actor, now):
            phases.append(phase)
            told[fact][row.pk] = lifecycle.told_of(row)
        if len(phases) > count:
            changed.append(row)
    if changed:
        Subscription.objects.bulk_update(changed, _SAVED)  # any tenant: rows locked above
        SubscriptionPhase.objects.bulk_create(phases)
        for fact, payloads in told.items():
            publish_many(tenant_id=tenant_id, fact=fact, payloads=payloads, now=now)
        over = [row.pk for row in changed if row.state in Subscription.OVER]
        subscription_keys.revoke_all(over, actor=actor, now=now)
        bump_catalog(tenant_id)
    return len(changed)


def _take_effect(
    row: Subscription, actor: Actor, now: datetime
) -> Iterator[tuple[str, SubscriptionPhase]]:
    """Change a locked row, in memory; each fact with the phase that begins with it."""
    if row.next_offering_at is not None and row.next_offering_at <= now:
        at = row.next_offering_at
        if row.next_offering is not None:
            row.offering = row.next_offering
        row.next_offering, row.next_offering_at = None, None
        reason = "the change of offering took effect"
        phase = lifecycle.phase_of(row, actor=actor, at=at, reason=reason)
        yield "subscription.offering_changed", phase
    for step in steps(row, now):
        was, row.state = row.state, step.state
        if step.state in Subscription.OVER:
            row.end_at = min(row.end_at or step.at, step.at)
        phase = lifecycle.phase_of(row, actor=actor, at=step.at, reason=step.reason)
        yield lifecycle.fact_of(was, step.state), phase
