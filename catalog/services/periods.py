"""Stored periods: they continue from the last stored end and are never computed again.

What changes a subscription cuts the period it falls into; what follows is taken back, or goes on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import ProgrammingError, transaction
from django.db.models import QuerySet

from aforo.errors import Conflict
from aforo.periods import Anchor, Cycle, Period, periods_from
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.tenants import bump_catalog
from catalog.models import Subscription, SubscriptionPeriod
from catalog.selectors.current import (
    last_period_ends,
    reach_of_clocks,
    uncovered_subscriptions,
)
from catalog.selectors.prices import share_of
from catalog.services.contract_phases import pin_phases

AHEAD = timedelta(days=62)  # two months: an event finds its period even when Beat rests for weeks
PAGE = 500  # subscriptions locked at a time; one statement writes their periods
# Doors take events that happen within five minutes. Twice that leaves room for the seconds in which
# a drain still counts by what it knew: a period that begins sooner may have been used already.
FORETOLD = timedelta(minutes=10)
INSTANT = timedelta(microseconds=1)  # the shortest time a row can tell
_AT_ONCE = timedelta(milliseconds=1)  # changes of one instant, on a frozen clock, follow so close
_Kind = SubscriptionPeriod.Kind


@transaction.atomic
def extend_periods(*, subscription: Subscription, until: datetime) -> int:
    """Store the periods of `subscription` that begin before `until`; the number of new ones.

    The last one may end before the whole period would, with the subscription.
    """
    return _extend(subscription.tenant_id, [subscription.pk], until)


def extend_tenant_periods(tenant: Tenant | UUID, until: datetime) -> int:
    """Store the periods of all subscriptions of a tenant that begin before `until`.

    To be called before the clock of a sandbox advances, so that no event falls outside. Each page
    of subscriptions is a transaction of its own; running twice, or at once, changes nothing more.
    """
    tenant_id = tenant.pk if isinstance(tenant, Tenant) else tenant
    uncovered = uncovered_subscriptions(tenant_id, until).order_by("pk")
    ids = list(uncovered.values_list("pk", flat=True))
    stored = 0
    for first in range(0, len(ids), PAGE):
        with transaction.atomic():
            stored += _extend(tenant_id, ids[first : first + PAGE], until)
    return stored


def extend_all_periods(*, now: datetime) -> int:
    """Store what begins within `AHEAD` on the clock of each tenant."""
    reach = reach_of_clocks(now, AHEAD)
    return sum(extend_tenant_periods(tenant_id, until) for tenant_id, until in reach.items())


@transaction.atomic
def continue_periods(*, subscription: Subscription, start: datetime, until: datetime) -> int:
    """Store the periods of a locked subscription anew from `start`, where none is any more."""
    return _store(subscription.tenant_id, _rows(subscription, start, until))


@transaction.atomic
def cut_periods(*, subscription: Subscription, end: datetime, now: datetime) -> None:
    """End the stored periods of a locked subscription at `end`: later ones are taken back.

    One that begins within `FORETOLD` of now is left with that much of itself: events that have
    been counted in it must be of a period that can be billed. Without events nobody bills it.
    """
    rows = _stored(subscription)
    foretold = now + FORETOLD
    with _refusing_billed():
        rows.filter(start_at__gte=max(end, foretold)).delete()
        for row in rows.filter(end_at__gt=end):
            _shorten(row, end if row.start_at < end else foretold)


@transaction.atomic
def split_period(*, subscription: Subscription, at: datetime, prorate: bool) -> None:
    """Cut the stored period of a locked subscription that holds `at`; the rest begins there.

    Prorated, both are parts of the whole one; otherwise each is a whole one by itself. Conflict for
    one that is a part already and is not to be prorated.
    """
    row = _stored(subscription).filter(start_at__lt=at, end_at__gt=at).first()
    if row is None:
        return
    if not prorate:
        _require_whole(row, subscription)
    rest = SubscriptionPeriod(
        tenant_id=row.tenant_id,
        subscription=subscription,
        kind=row.kind,
        start_at=at,
        end_at=row.end_at,
        whole_start_at=row.whole_start_at if prorate else at,
        whole_end_at=row.whole_end_at if prorate else None,
    )
    with _refusing_billed():
        _shorten(row, at)
        if not prorate:
            row.whole_start_at, row.whole_end_at = row.start_at, None
            row.save(update_fields=["whole_start_at", "whole_end_at"])
    _store(subscription.tenant_id, [rest])


def running_period(subscription: Subscription, now: datetime) -> SubscriptionPeriod | None:
    """The stored period that a change of now cuts; None when none has begun."""
    for row in _stored(subscription).filter(end_at__gt=now):
        at = cut_at(row, now)
        if at < row.end_at:
            return row if at - now < _AT_ONCE else None
    return None


def cut_at(row: SubscriptionPeriod, now: datetime) -> datetime:
    """Where a period is cut by what takes effect now: never at its very start, which is used."""
    return max(now, row.start_at + INSTANT)


def require_no_turn_soon(row: SubscriptionPeriod | None, now: datetime) -> None:
    """Conflict while the next period is so near that it may have been used already."""
    if row is not None and now < row.end_at <= now + FORETOLD:
        after = row.end_at.isoformat()
        raise Conflict(f"the next period begins at {after}: try after that", code="PERIOD_TURNS")


def anchor_of(subscription: Subscription) -> Anchor:
    """Where the periods of a subscription turn."""
    zone = ZoneInfo(subscription.time_zone)
    return Anchor(
        cycle=Cycle(subscription.billing_cycle),
        day=subscription.anchor_day,
        origin=subscription.paid_from.astimezone(zone).date(),
        zone=subscription.time_zone,
        count=subscription.cycle_count,
        month=subscription.anchor_month,
    )


def last_end(subscription: Subscription) -> datetime | None:
    """How far the stored periods reach; None when there is none."""
    return last_period_ends([subscription.pk]).get(subscription.pk)


def _stored(subscription: Subscription) -> QuerySet[SubscriptionPeriod]:
    rows: QuerySet[SubscriptionPeriod] = SubscriptionPeriod.objects.for_tenant(
        subscription.tenant_id
    )
    return rows.filter(subscription=subscription).order_by("start_at")


def _shorten(row: SubscriptionPeriod, end: datetime) -> None:
    if row.end_at > end:
        row.whole_end_at = row.whole_end_at or row.end_at
        row.end_at = end
        row.save(update_fields=["end_at", "whole_end_at"])


def _require_whole(row: SubscriptionPeriod, subscription: Subscription) -> None:
    """Events of a part were priced with a share of the included units; of a whole one with all."""
    if row.kind == _Kind.REGULAR and share_of(row, subscription) is not None:
        raise Conflict(
            "the running period is a part, with a share of the included units, since it was changed"
            " or resumed: prorate this change too, or make it at the end of the period",
            code="PERIOD_IS_A_PART",
        )


def _extend(tenant_id: UUID, subscription_ids: Sequence[UUID], until: datetime) -> int:
    """Lock the subscriptions, then look how far they reach: a second caller finds it done."""
    subscriptions = (
        Subscription.objects.for_tenant(tenant_id)
        .filter(pk__in=subscription_ids, state__in=Subscription.RUNNING)
        .order_by("pk")
        .select_for_update(no_key=True)
    )
    locked = list(subscriptions)
    reached = last_period_ends([subscription.pk for subscription in locked])
    return _store(
        tenant_id,
        [
            row
            for subscription in locked
            for row in _rows(
                subscription, reached.get(subscription.pk, subscription.start_at), until
            )
        ],
    )


def _store(tenant_id: UUID, rows: Sequence[SubscriptionPeriod]) -> int:
    if rows:
        pin_phases(rows)
        SubscriptionPeriod.objects.bulk_create(rows)
        bump_catalog(tenant_id)  # contracts hold periods
    return len(rows)


def _rows(subscription: Subscription, start: datetime, until: datetime) -> list[SubscriptionPeriod]:
    """The periods from `start` on that begin before `until` and before the subscription stops."""
    stop = subscription.stops_at
    wanted = takewhile(
        lambda found: found[1].start < until and (stop is None or found[1].start < stop),
        _periods(subscription, start),
    )
    return [_row(subscription, kind, period) for kind, period in wanted]


def _periods(subscription: Subscription, start: datetime) -> Iterator[tuple[str, Period]]:
    """A trial is one period of its own; paid ones follow, counted from the anchor."""
    trial_end = subscription.trial_end_at
    if trial_end is not None and start < trial_end:
        yield _Kind.TRIAL, Period(start, trial_end, start)
        start = trial_end
    for period in periods_from(start, anchor_of(subscription)):
        yield _Kind.REGULAR, period


def _row(subscription: Subscription, kind: str, period: Period) -> SubscriptionPeriod:
    end = min(period.end, subscription.end_at or period.end)
    return SubscriptionPeriod(
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        kind=kind,
        start_at=period.start,
        end_at=end,
        whole_start_at=period.whole_start,
        whole_end_at=period.end if end < period.end else None,
    )


@contextmanager
def _refusing_billed() -> Iterator[None]:
    """The database keeps billed periods where they are; say it as a refusal."""
    try:
        with transaction.atomic():
            yield
    except ProgrammingError as error:
        if "a billed period never moves" not in str(error):
            raise
        raise Conflict("the period is billed already", code="PERIOD_BILLED") from error
