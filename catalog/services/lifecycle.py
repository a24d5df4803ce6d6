"""The states of a subscription: which may follow which, and what is noted and told of each.

Every state that it comes into is a phase: a row that is written once and never changes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from aforo.errors import Conflict
from aforo.outbox.services import publish
from aforo.tenancy.services.actors import Actor
from catalog.models import Subscription, SubscriptionPhase
from catalog.services import changes

State = Subscription.State
LEGAL: Mapping[str, frozenset[str]] = {
    State.CREATED: frozenset({State.TRIALING, State.ACTIVE, State.CANCELLED}),
    State.TRIALING: frozenset({State.ACTIVE, State.CANCELLED, State.PAUSED}),
    State.ACTIVE: frozenset(
        {
            State.PAST_DUE,
            State.PAUSED,
            State.EXPIRING_SOON,
            State.EXPIRED,
            State.CANCELLED,
            State.SUSPENDED,
        }
    ),
    State.PAST_DUE: frozenset({State.ACTIVE, State.SUSPENDED, State.CANCELLED, State.EXPIRED}),
    State.PAUSED: frozenset({State.ACTIVE, State.CANCELLED, State.EXPIRED}),
    State.EXPIRING_SOON: frozenset({State.ACTIVE, State.EXPIRED, State.CANCELLED}),
    State.SUSPENDED: frozenset({State.ACTIVE, State.CANCELLED, State.EXPIRED}),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
}
FACTS: Mapping[str, str] = {
    State.CREATED: "subscription.created",
    State.TRIALING: "subscription.trial_started",
    State.ACTIVE: "subscription.activated",
    State.PAST_DUE: "subscription.past_due",
    State.PAUSED: "subscription.paused",
    State.EXPIRING_SOON: "subscription.expiring_soon",
    State.SUSPENDED: "subscription.suspended",
    State.EXPIRED: "subscription.expired",
    State.CANCELLED: "subscription.cancelled",
}
CHANGES = frozenset(
    {
        "subscription.upgraded",
        "subscription.downgraded",
        "subscription.migrated",
        "subscription.moved_to_version",
    }
)


@transaction.atomic
def change_state(
    *, subscription: Subscription, state: str, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """Bring a subscription into `state`; the one it is in already changes nothing.

    Only the state: periods, keys and ends are the business of what calls for it.
    Raises Conflict (ILLEGAL_TRANSITION).
    """
    subscription_now = locked(subscription)
    before = changes.state_of(subscription_now, ("state",))
    if enter(subscription_now, state, actor=actor, now=now, reason=reason):
        changes.record(
            subscription_now,
            action="SUBSCRIPTION_STATE_CHANGED",
            actor=actor,
            now=now,
            before=before,
            after=changes.state_of(subscription_now, ("state",)),
            reason=reason,
        )
    return subscription_now


def locked(subscription: Subscription) -> Subscription:
    """The row, locked. Joined with nothing: a row whose offering has just changed would be lost."""
    rows = Subscription.objects.for_tenant(subscription.tenant_id).select_for_update(no_key=True)
    row: Subscription = rows.get(pk=subscription.pk)
    return row


def enter(
    subscription: Subscription, state: str, *, actor: Actor, now: datetime, reason: str = ""
) -> bool:
    """Bring a locked subscription into `state`; False when it is there already."""
    if not is_change(subscription.state, state):
        return False
    was = subscription.state
    subscription.state = state
    subscription.save(update_fields=["state"])
    phase_of(subscription, actor=actor, at=now, reason=reason).save(force_insert=True)
    tell(fact_of(was, state), subscription, now=now)
    return True


def is_change(state: str, following: str) -> bool:
    """Whether `following` is another state; Conflict when it may not follow."""
    if state == following:
        return False
    if following not in LEGAL[state]:
        raise Conflict(
            f"a subscription that is {state} cannot become {following}", code="ILLEGAL_TRANSITION"
        )
    return True


def fact_of(state: str, following: str) -> str:
    """What is told when `following` comes after `state`."""
    if (state, following) == (State.PAUSED, State.ACTIVE):
        return "subscription.resumed"
    return FACTS[following]


def phase_of(
    subscription: Subscription, *, actor: Actor, at: datetime, reason: str = ""
) -> SubscriptionPhase:
    """The phase that begins with what a subscription says of itself; not stored yet."""
    return SubscriptionPhase(
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        state=subscription.state,
        offering_id=subscription.offering_id,
        reason=reason,
        actor_name=actor.name[:200],
        started_at=at,
    )


def tell(fact: str, subscription: Subscription, *, now: datetime) -> None:
    """Publish `fact` about a subscription in the caller's transaction, changes by both names."""
    told: dict[str, Any] = {
        "tenant_id": subscription.tenant_id,
        "subject": subscription.pk,
        "now": now,
    }
    payload = told_of(subscription)
    publish(fact=fact, payload=payload, **told)
    if fact in CHANGES:
        change = fact.removeprefix("subscription.")
        publish(fact="subscription.changed", payload=payload | {"change": change}, **told)


def told_of(subscription: Subscription) -> dict[str, object]:
    """What a message says of a subscription."""
    return {
        "subscriptionId": str(subscription.pk),
        "customerId": subscription.customer.external_id,
        "offeringId": str(subscription.offering_id),
        "state": subscription.state,
        "startAt": subscription.start_at.isoformat(),
        "endAt": subscription.end_at.isoformat() if subscription.end_at else None,
    }
