"""More days of trial for a subscription whose trial still runs."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from catalog.models import Subscription, SubscriptionPeriod
from catalog.services import changes, lifecycle, periods

_SHOWN = ("trial_end_at", "anchor_day")


@transaction.atomic
def extend_trial(
    *, subscription: Subscription, days: int, actor: Actor, now: datetime, reason: str = ""
) -> Subscription:
    """Let a trial end `days` later, at the same local time; what is paid for begins then.

    Periods that turned on the day after the trial turn on the new one. Conflict without a running
    trial, and in its last ten minutes: what comes after may have been used already.
    """
    locked = lifecycle.locked(subscription)
    was_end = locked.trial_end_at
    if locked.state != Subscription.State.TRIALING or was_end is None or was_end <= now:
        raise Conflict("the subscription has no trial that runs", code="NO_TRIAL")
    trial = SubscriptionPeriod.objects.for_tenant(locked.tenant_id).get(
        subscription=locked, kind=SubscriptionPeriod.Kind.TRIAL, end_at=was_end
    )
    periods.require_no_turn_soon(trial, now)
    before = changes.state_of(locked, _SHOWN)
    zone = ZoneInfo(locked.time_zone)
    end = was_end.astimezone(zone) + timedelta(days=days)  # days of the calendar, not of 24 hours
    if locked.anchor_day == was_end.astimezone(zone).day:
        locked.anchor_day = end.day
    locked.trial_end_at = trial.end_at = end.astimezone(UTC)
    locked.save(update_fields=["trial_end_at", "anchor_day"])
    periods.cut_periods(subscription=locked, end=was_end, now=now)
    trial.save(update_fields=["end_at"])
    periods.extend_periods(subscription=locked, until=now + periods.AHEAD)
    changes.record(
        locked,
        action="SUBSCRIPTION_TRIAL_EXTENDED",
        actor=actor,
        now=now,
        before=before,
        after=changes.state_of(locked, _SHOWN),
        reason=reason,
    )
    return locked
