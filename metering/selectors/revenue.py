"""Live revenue: what usage brings in today and in this period, from totals and sums of hours.

Never from events. Revenue is the exact marginal price of usage; fees, minimums and discounts are no
part of it. Days begin in the tenant's time zone, periods are those of each subscription. The hour
and the day in which another point of time lies count by their share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from metering.selectors.revenue_groups import GROUPINGS, GroupBy, Grouping
from metering.selectors.revenue_projection import projections

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPARKLINE_HOURS = 24
_SECOND = timedelta(seconds=1)
_OF_CUSTOMER = "(%(customer)s::uuid IS NULL OR s.customer_id = %(customer)s)"
_HOURS = """
    SELECT {told}, m.hour, sum(m.revenue)
    FROM hourly_usage m JOIN subscriptions s ON s.id = m.subscription_id {joins}
    WHERE m.tenant_id = %(tenant)s AND m.hour >= %(since)s AND m.hour <= %(now)s AND {of_customer}
    GROUP BY 1, 2, 3, 4
"""
_PERIOD = """
    SELECT {told}, sum(m.revenue + coalesce((SELECT sum(a.amount) FROM rating_adjustments a
                                             WHERE a.running_total_id = m.id), 0))
    FROM subscription_periods p
    JOIN subscriptions s ON s.id = p.subscription_id
    JOIN running_totals m ON m.period_id = p.id {joins}
    WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s
      AND {of_customer}
    GROUP BY 1, 2, 3
"""
# The period before, up to the same point: days that lie partly in it count by their share.
_LAST = """
    WITH before AS (
        SELECT q.subscription_id, q.start_at AS since,
               least(q.end_at, q.start_at + (%(now)s - p.start_at)) AS until
        FROM subscription_periods p
        JOIN subscription_periods q
          ON q.subscription_id = p.subscription_id AND q.end_at = p.start_at
        WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s)
    SELECT {told}, sum(round(
        m.revenue * (extract(epoch FROM least(b.until, e.day_end) - greatest(b.since, e.day_start))
                     / 86400), 12))
    FROM before b
    JOIN daily_usage m ON m.subscription_id = b.subscription_id
    JOIN subscriptions s ON s.id = b.subscription_id {joins}
    CROSS JOIN LATERAL (SELECT m.day::timestamp AT TIME ZONE 'UTC' AS day_start,
                               (m.day + 1)::timestamp AT TIME ZONE 'UTC' AS day_end) AS e
    WHERE m.tenant_id = %(tenant)s
      AND m.day >= (SELECT (min(since) AT TIME ZONE 'UTC')::date FROM before)
      AND m.day <= (SELECT (max(until) AT TIME ZONE 'UTC')::date FROM before)
      AND e.day_start < b.until AND e.day_end > b.since AND {of_customer}
    GROUP BY 1, 2, 3
"""


@dataclass(slots=True)
class Revenue:
    """One group in one currency, exact unless it says otherwise."""

    key: str
    label: str
    currency: str
    today: Decimal = ZERO
    yesterday: Decimal = ZERO
    period: Decimal = ZERO
    last_period: Decimal = ZERO
    projection: Decimal = ZERO
    is_upper_bound: bool = False
    hours: list[Decimal] = field(default_factory=lambda: [ZERO] * SPARKLINE_HOURS)


@dataclass(frozen=True, slots=True)
class LiveRevenue:
    """Groups by what they bring in this period, the largest first; on the tenant's clock."""

    as_of: datetime
    first_hour: datetime
    rows: list[Revenue]


def live_revenue(
    *, tenant: Tenant, now: datetime, by: GroupBy, customer_id: UUID | None = None
) -> LiveRevenue:
    """What usage brings in when everybody's clock shows `now`; of one customer, if one is named."""
    at = clock.at(tenant, now).astimezone(UTC)
    midnight = at.astimezone(ZoneInfo(tenant.time_zone)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    spans, grouping, rows = _Spans(at, midnight), GROUPINGS[by], _Rows()
    about = {"tenant": tenant.pk, "now": at, "since": spans.since, "customer": customer_id}
    for *group, hour, revenue in _read(_HOURS, grouping, about):
        spans.add(rows.of(*group), hour, revenue)
    for *group, revenue in _read(_PERIOD, grouping, about):
        row = rows.of(*group)
        row.period = EXACT.add(row.period, revenue)
    for *group, revenue in _read(_LAST, grouping, about):
        row = rows.of(*group)
        row.last_period = EXACT.add(row.last_period, revenue)
    for *group, amount, is_bound in projections(grouping, about):
        row = rows.of(*group)
        row.projection = EXACT.add(row.projection, amount)
        row.is_upper_bound |= is_bound
    return LiveRevenue(at, spans.first_hour, rows.sorted(tenant.currency))


class _Spans:
    """Which hours are today's, yesterday's up to the same point, and the sparkline's."""

    def __init__(self, at: datetime, midnight: datetime) -> None:
        self._midnight = midnight.astimezone(UTC)
        self._yesterday = (midnight - DAY).astimezone(UTC)
        self._same_point = at - DAY
        this_hour = at.replace(minute=0, second=0, microsecond=0)
        self.first_hour = this_hour - (SPARKLINE_HOURS - 1) * HOUR
        self.since = min(self._yesterday - HOUR, self.first_hour)

    def add(self, row: Revenue, hour: datetime, revenue: Decimal) -> None:
        if hour >= self.first_hour:
            number = (hour - self.first_hour) // HOUR
            row.hours[number] = EXACT.add(row.hours[number], revenue)
        if hour + HOUR > self._midnight:
            today = _share(revenue, hour, self._midnight, hour + HOUR)
            row.today = EXACT.add(row.today, today)
        if hour < self._same_point and hour + HOUR > self._yesterday:
            then = _share(revenue, hour, self._yesterday, min(self._same_point, self._midnight))
            row.yesterday = EXACT.add(row.yesterday, then)


def _share(revenue: Decimal, hour: datetime, since: datetime, until: datetime) -> Decimal:
    """What of an hour's revenue lies in [since, until), if it came evenly."""
    inside = min(until, hour + HOUR) - max(since, hour)
    if inside >= HOUR:
        return revenue
    if inside <= timedelta(0):
        return ZERO
    return divide(EXACT.multiply(revenue, Decimal(inside // _SECOND)), Decimal(HOUR // _SECOND))


class _Rows:
    """The rows of groups, made when there is something to say of them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Revenue] = {}

    def of(self, key: str, label: str, currency: str) -> Revenue:
        return self._rows.setdefault((key, currency), Revenue(key, label, currency))

    def sorted(self, currency: str) -> list[Revenue]:
        """The tenant's own currency first, whoever brings in most first."""

        def order(row: Revenue) -> tuple[Any, ...]:
            return (row.currency != currency, row.currency, -row.period, row.label)

        return sorted(self._rows.values(), key=order)


def _read(statement: str, grouping: Grouping, about: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    query = statement.format(
        told=f"{grouping.key}, {grouping.label}, s.currency",
        joins=grouping.joins,
        of_customer=_OF_CUSTOMER,
    )
    with connection.cursor() as cursor:
        cursor.execute(query, about)
        return list(cursor.fetchall())
