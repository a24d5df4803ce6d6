"""Stored periods: they continue from the last stored end and are never computed again."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

from django.db import transaction

from aforo import periods
from aforo.periods import Period
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.tenants import bump_catalog
from catalog.models import Subscription, SubscriptionPeriod
from catalog.selectors.current import (
    last_period_ends,
    reach_of_clocks,
    uncovered_subscriptions,
)

AHEAD = timedelta(days=62)  # two months: an event finds its period even when Beat rests for weeks
PAGE = 500  # subscriptions locked at a time; one statement writes their periods


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
def cut_periods(*, subscription: Subscription, end: datetime) -> None:
    """End the stored periods of a locked subscription at `end`: later ones are taken back."""
    rows = SubscriptionPeriod.objects.for_tenant(subscription.tenant_id).filter(
        subscription=subscription
    )
    rows.filter(start_at__gte=end).delete()
    last = rows.filter(end_at__gt=end).first()
    if last is not None:
        last.whole_end_at = last.whole_end_at or last.end_at
        last.end_at = end
        last.save(update_fields=["end_at", "whole_end_at"])


def _extend(tenant_id: UUID, subscription_ids: Sequence[UUID], until: datetime) -> int:
    """Lock the subscriptions, then look how far they reach: a second caller finds it done."""
    subscriptions = (
        Subscription.objects.for_tenant(tenant_id)
        .filter(pk__in=subscription_ids, state=Subscription.State.ACTIVE)
        .order_by("pk")
        .select_for_update(no_key=True)
    )
    locked = list(subscriptions)
    reached = last_period_ends([subscription.pk for subscription in locked])
    rows = [
        _row(subscription, period)
        for subscription in locked
        for period in _missing(subscription, reached.get(subscription.pk), until)
    ]
    if rows:
        SubscriptionPeriod.objects.bulk_create(rows)
        bump_catalog(tenant_id)  # contracts hold periods
    return len(rows)


def _missing(
    subscription: Subscription, reached: datetime | None, until: datetime
) -> Iterator[Period]:
    end = subscription.end_at
    months = periods.monthly(
        start=reached or subscription.start_at,
        anchor_day=subscription.anchor_day,
        zone=subscription.time_zone,
    )
    return takewhile(
        lambda month: month.start < until and (end is None or month.start < end), months
    )


def _row(subscription: Subscription, period: Period) -> SubscriptionPeriod:
    end = min(period.end, subscription.end_at or period.end)
    return SubscriptionPeriod(
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        start_at=period.start,
        end_at=end,
        whole_start_at=period.whole_start,
        whole_end_at=period.end if end < period.end else None,
    )
