"""Suspending: nobody is let in until it is lifted, while periods, usage and billing go on."""

from datetime import datetime

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from catalog.models import Subscription
from catalog.services import lifecycle

State = Subscription.State


def suspend_subscription(
    *, subscription: Subscription, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """Deny access checks from now on; again changes nothing. What still comes is counted.

    Whoever wants usage and billing to stop pauses or cancels. Raises Conflict
    (ILLEGAL_TRANSITION) unless it is active or past due.
    """
    return lifecycle.change_state(
        subscription=subscription, state=State.SUSPENDED, actor=actor, now=now, reason=reason
    )


@transaction.atomic
def reinstate_subscription(
    *, subscription: Subscription, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """Lift a suspension; one that is active is left alone, any other state is a Conflict."""
    locked = lifecycle.locked(subscription)
    if locked.state not in {State.SUSPENDED, State.ACTIVE}:
        raise Conflict(
            f"a subscription that is {locked.state} is not suspended", code="ILLEGAL_TRANSITION"
        )
    return lifecycle.change_state(
        subscription=locked, state=State.ACTIVE, actor=actor, now=now, reason=reason
    )
