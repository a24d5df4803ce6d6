"""Trials: a period that counts usage and costs nothing, until it is paid for or over."""

from datetime import datetime

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from catalog.models import Subscription
from catalog.services import changes, lifecycle, periods

_SHOWN = ("state", "trial_end_at", "auto_convert")


@transaction.atomic
def convert_trial(
    *, subscription: Subscription, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """End a trial now, for pay; a subscription that is paid for already is left alone.

    The last ten minutes of a trial stay free: what comes after it may have been used. Raises
    Conflict for one that never had a trial, or is in no state to be paid for.
    """
    locked = lifecycle.locked(subscription)
    active = Subscription.State.ACTIVE
    if locked.trial_end_at is None:
        raise Conflict("the subscription has no trial", code="NO_TRIAL")
    if locked.state == active or not _may_convert(locked):
        return locked
    before = changes.state_of(locked, _SHOWN)
    locked.auto_convert = True
    _end_trial(locked, now)
    locked.save(update_fields=["auto_convert", "trial_end_at"])
    lifecycle.enter(locked, active, actor=actor, now=now, reason=reason)
    periods.extend_periods(subscription=locked, until=now + periods.AHEAD)
    lifecycle.tell("subscription.trial_converted", locked, now=now)
    changes.record(
        locked,
        action="SUBSCRIPTION_TRIAL_CONVERTED",
        actor=actor,
        now=now,
        before=before,
        after=changes.state_of(locked, _SHOWN),
        reason=reason,
    )
    return locked


def _may_convert(subscription: Subscription) -> bool:
    if subscription.state != Subscription.State.TRIALING:
        raise Conflict(
            f"a subscription that is {subscription.state} has no trial to convert",
            code="ILLEGAL_TRANSITION",
        )
    return True


def _end_trial(subscription: Subscription, now: datetime) -> None:
    if subscription.trial_end_at is not None and subscription.trial_end_at <= now:
        return  # it is over, though nobody has told its state yet
    running = periods.running_period(subscription, now)
    if running is None or running.end_at <= now + periods.FORETOLD:
        return
    subscription.trial_end_at = periods.cut_at(running, now)
    periods.cut_periods(subscription=subscription, end=subscription.trial_end_at, now=now)
