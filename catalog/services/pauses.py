"""Pausing: no period exists until the resume, so nothing is counted and nothing is owed."""

from datetime import datetime
from functools import partial

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from catalog.models import Subscription
from catalog.services import changes, lifecycle, periods


@transaction.atomic
def pause_subscription(
    *, subscription: Subscription, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """Stop usage and billing from now on; again changes nothing.

    The running period is cut and prorated, later ones are taken back. A trial is over with it.
    """
    locked = lifecycle.locked(subscription)
    if not lifecycle.is_change(locked.state, Subscription.State.PAUSED):
        return locked
    running = periods.running_period(locked, now)
    periods.require_no_turn_soon(running, now)
    end = periods.cut_at(running, now) if running else now
    with changes.recorded(
        locked,
        partial(_shown, locked),
        action="SUBSCRIPTION_PAUSED",
        actor=actor,
        now=now,
        reason=reason,
    ):
        periods.cut_periods(subscription=locked, end=end, now=now)
        if locked.trial_end_at is not None and end < locked.trial_end_at:
            locked.trial_end_at = end
            locked.save(update_fields=["trial_end_at"])
        lifecycle.enter(locked, Subscription.State.PAUSED, actor=actor, now=now, reason=reason)
    return locked


@transaction.atomic
def resume_subscription(
    *, subscription: Subscription, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """Take usage and bill again from now on, to the same anchor; one that runs is left alone.

    Its first period is a part, prorated, of the one that would run now. A suspension is not lifted
    by it: Conflict (ILLEGAL_TRANSITION).
    """
    locked = lifecycle.locked(subscription)
    if locked.state == Subscription.State.SUSPENDED:
        raise Conflict(
            "a suspended subscription is reinstated, not resumed", code="ILLEGAL_TRANSITION"
        )
    if locked.state != Subscription.State.PAUSED:
        lifecycle.is_change(locked.state, Subscription.State.ACTIVE)
        return locked
    with changes.recorded(
        locked,
        partial(_shown, locked),
        action="SUBSCRIPTION_RESUMED",
        actor=actor,
        now=now,
        reason=reason,
    ):
        locked.auto_convert = True
        locked.save(update_fields=["auto_convert"])
        lifecycle.enter(locked, Subscription.State.ACTIVE, actor=actor, now=now, reason=reason)
        start = max(now, periods.last_end(locked) or now)
        periods.continue_periods(subscription=locked, start=start, until=now + periods.AHEAD)
    return locked


def _shown(subscription: Subscription) -> dict[str, object]:
    return changes.state_of(subscription, ("state", "trial_end_at", "auto_convert"))
