"""What today came to, beside the same point of yesterday and of the last month.

Events and duplicates are exact, from sums of five minutes and the receipts after them; never from
the events. Times are on everybody's clock, days and months begin in the tenant's time zone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from metering.models.activity import slice_start
from metering.selectors.recovered import recovered_revenue

_COUNTS = """
    WITH sliced AS (
        SELECT coalesce(max(start_at) + interval '5 minutes', '-infinity') AS until
        FROM receipt_slices WHERE tenant_id = %(tenant)s)
    SELECT coalesce(sum(events), 0), coalesce(sum(repeats), 0) FROM (
        SELECT sum(event_count) AS events, sum(duplicates) AS repeats FROM receipt_slices
        WHERE tenant_id = %(tenant)s AND start_at >= %(since)s AND start_at < %(until)s
        UNION ALL
        SELECT sum(event_count), sum(duplicates) FROM receipts
        WHERE tenant_id = %(tenant)s AND source <> 'REPLAY'
          AND drained_at >= greatest(%(since)s, (SELECT until FROM sliced))
          AND drained_at < %(until)s
    ) AS parts
"""
# What a counted event brings in the periods that are open: two index look-ups per subscription.
_AVERAGE = """
    SELECT coalesce(sum(r.revenue), 0), coalesce(sum(r.event_count), 0)
    FROM subscription_periods p
    JOIN subscriptions s ON s.id = p.subscription_id
    JOIN running_totals r ON r.period_id = p.id
    WHERE p.tenant_id = %s AND p.start_at <= %s AND p.end_at > %s AND s.currency = %s
"""
_LATE = """
    SELECT count(*) FROM held_events
    WHERE tenant_id = %s AND status = 'ACCEPTED' AND decided_at >= %s AND decided_at < %s
"""


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to before `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Spans:
    """Today and this month until now, and yesterday and the last month up to the same point."""

    today: Span
    yesterday: Span
    month: Span
    last_month: Span


@dataclass(frozen=True, slots=True)
class Figures:
    """One figure in the four spans."""

    today: Decimal
    yesterday: Decimal
    month: Decimal
    last_month: Decimal


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """Money in the tenant's currency, exact unless `Figures` of it are called estimated."""

    as_of: datetime
    currency: str
    average_revenue: Decimal
    events: Figures
    duplicates: Figures
    recovered: Figures
    late_accepted: Figures
    late_value: Figures
    duplicate_value: Figures


def live_summary(*, tenant: Tenant, now: datetime) -> LiveSummary:
    """The figures of a tenant when everybody's clock shows `now`."""
    spans = spans_at(now, tenant.time_zone)
    each = (spans.today, spans.yesterday, spans.month, spans.last_month)
    counts = [_counts(tenant, span) for span in each]
    recovered = [recovered_revenue(tenant.pk, since=span.since, until=span.until) for span in each]
    late = Figures(*(_late(tenant, span, now) for span in each))
    duplicates = Figures(*(repeats for _, repeats in counts))
    average = _average(tenant, clock.at(tenant, now))
    return LiveSummary(
        as_of=now,
        currency=tenant.currency,
        average_revenue=average,
        events=Figures(*(events for events, _ in counts)),
        duplicates=duplicates,
        recovered=Figures(*(one.in_currency(tenant.currency) for one in recovered)),
        late_accepted=late,
        late_value=_times(late, average),
        duplicate_value=_times(duplicates, average),
    )


def spans_at(now: datetime, zone: str) -> Spans:
    """The four spans; the points in the past are those of five minutes, so that sums have them."""
    local = now.astimezone(ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = midnight - timedelta(days=1)  # wall-clock time, also where the clock is changed
    first = midnight.replace(day=1)
    last = (first - timedelta(days=1)).replace(day=1)
    same_point = slice_start(min(last + (local - first), first))
    same_hour = slice_start(local - timedelta(days=1))
    return Spans(
        Span(midnight, now), Span(yesterday, same_hour), Span(first, now), Span(last, same_point)
    )


def _counts(tenant: Tenant, span: Span) -> tuple[Decimal, Decimal]:
    with connection.cursor() as cursor:
        about: dict[str, Any] = {"tenant": tenant.pk, "since": span.since, "until": span.until}
        cursor.execute(_COUNTS, about)
        events, repeats = cursor.fetchone()
    return Decimal(events), Decimal(repeats)


def _average(tenant: Tenant, now: datetime) -> Decimal:
    """The mean price of a counted event in the periods open on the tenant's clock."""
    with connection.cursor() as cursor:
        cursor.execute(_AVERAGE, (tenant.pk, now, now, tenant.currency))
        revenue, events = cursor.fetchone()
    return divide(revenue, Decimal(events)) if events else ZERO


def _late(tenant: Tenant, span: Span, now: datetime) -> Decimal:
    """Late events that were accepted; decisions are dated on the tenant's clock."""
    ahead = clock.at(tenant, now) - now
    with connection.cursor() as cursor:
        cursor.execute(_LATE, (tenant.pk, span.since + ahead, span.until + ahead))
        (count,) = cursor.fetchone()
    return Decimal(count)


def _times(counts: Figures, price: Decimal) -> Figures:
    return Figures(
        EXACT.multiply(counts.today, price),
        EXACT.multiply(counts.yesterday, price),
        EXACT.multiply(counts.month, price),
        EXACT.multiply(counts.last_month, price),
    )
