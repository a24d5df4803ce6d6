"""Live revenue: what usage brings in today and in this period, from totals and sums of hours.

Never from events. Revenue is the exact marginal price of usage; fees, minimums and discounts are no
part of it. Days begin in the tenant's time zone, periods are those of each subscription. The hour
and the day in which another point of time lies count by their share.
"""

from collections.abc import Iterable, Iterator, Sequence
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
from metering.selectors.revenue_groups import GROUPINGS, GroupBy, only_some
from metering.selectors.revenue_projection import ADJUSTED, projections

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPARKLINE_HOURS = 24
_SECOND = timedelta(seconds=1)
MOST_GROUPS = 1_000
# Groups by what their running periods have brought in, those without any last. A period that ended
# since yesterday is there for what it brought in today. Statements after this one are about its
# groups alone where there are more customers than are told.
_PERIOD = """
    {adjusted}
    SELECT {told}, coalesce(sum(m.revenue + coalesce(a.amount, 0))
                            FILTER (WHERE p.end_at > %(now)s), 0) AS revenue,
           count(*) OVER ()
    FROM subscription_periods p
    JOIN subscriptions s ON s.id = p.subscription_id
    {of_units} JOIN running_totals m ON m.period_id = p.id
    LEFT JOIN adjusted a ON a.running_total_id = m.id {joins}
    WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(since)s {only}
    GROUP BY 1, 2, 3
    ORDER BY s.currency <> %(own)s, s.currency, revenue DESC, 2, 1 LIMIT %(most)s
"""
_HOURS = """
    SELECT {told}, m.hour, sum(m.revenue)
    FROM hourly_usage m JOIN subscriptions s ON s.id = m.subscription_id {joins}
    WHERE m.tenant_id = %(tenant)s AND m.hour = ANY(%(hours)s) {only_usage}
    GROUP BY 1, 2, 3, 4
"""
# The same stretch of the whole period before: of a part, which begins where plans were changed, the
# same part. Days that lie partly in it count by their share. What no event brought, such as a level
# that was carried over, is whole from when it was written, of the part that ran at the same point.
_LAST = """
    WITH before AS (
        SELECT p.subscription_id, f.start_at + (p.start_at - p.whole_start_at) AS since,
               least(q.end_at, f.start_at + (%(now)s - p.whole_start_at)) AS until
        FROM subscription_periods p
        JOIN subscriptions s ON s.id = p.subscription_id
        JOIN subscription_periods q
          ON q.subscription_id = p.subscription_id AND q.end_at = p.whole_start_at
        CROSS JOIN LATERAL (
            SELECT min(r.start_at) AS start_at FROM subscription_periods r
            WHERE r.subscription_id = q.subscription_id
              AND r.whole_start_at = q.whole_start_at) AS f
        WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s {only}),
    days AS (
        SELECT b.subscription_id, d.day,
               extract(epoch FROM least(b.until, d.ends) - greatest(b.since, d.starts)) / 86400
                   AS share
        FROM before b CROSS JOIN LATERAL (
            SELECT n::date AS day, n AT TIME ZONE 'UTC' AS starts,
                   (n + interval '1 day') AT TIME ZONE 'UTC' AS ends
            FROM generate_series(date_trunc('day', b.since AT TIME ZONE 'UTC'),
                                 b.until AT TIME ZONE 'UTC', interval '1 day') AS n) AS d
        WHERE d.starts < b.until AND b.since < b.until)
    SELECT {told}, sum(m.revenue)
    FROM (
        SELECT d.subscription_id, u.unit_id,
               CASE WHEN d.share = 1 THEN u.revenue ELSE round(u.revenue * d.share, 12) END
                   AS revenue
        FROM days d
        JOIN daily_usage u ON u.tenant_id = %(tenant)s AND u.day = d.day
                          AND u.subscription_id = d.subscription_id
        UNION ALL
        SELECT b.subscription_id, t.unit_id, a.amount
        FROM before b
        JOIN subscription_periods r ON r.subscription_id = b.subscription_id
            AND r.start_at < b.until AND r.end_at >= b.until
        JOIN running_totals t ON t.period_id = r.id
        JOIN rating_adjustments a ON a.running_total_id = t.id AND a.created_at < b.until
        WHERE b.since < b.until) AS m
    JOIN subscriptions s ON s.id = m.subscription_id {joins}
    GROUP BY 1, 2, 3
"""
_SUBSCRIPTIONS = "SELECT id FROM subscriptions WHERE tenant_id = %s AND customer_id = ANY(%s)"


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
    """Groups by what they bring in this period, the largest first; on the tenant's clock.

    `total` is how many there are, of which `rows` has the first.
    """

    as_of: datetime
    first_hour: datetime
    rows: list[Revenue]
    total: int


def live_revenue(
    *,
    tenant: Tenant,
    now: datetime,
    by: GroupBy,
    customer_id: UUID | None = None,
    most: int = MOST_GROUPS,
) -> LiveRevenue:
    """What usage brings in when everybody's clock shows `now`; of one customer, if one is named."""
    at = clock.at(tenant, now).astimezone(UTC)
    midnight = at.astimezone(ZoneInfo(tenant.time_zone)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    spans, asking = _Spans(at, midnight), _Asking(tenant, by, at)
    if customer_id is not None:
        asking.narrow([customer_id])
    rows, total = asking.groups(since=spans.since, most=most)
    if total > most and by == GroupBy.CUSTOMER:
        asking.narrow([UUID(row.key) for row in rows.all])
    for *group, hour, revenue in asking.read(_HOURS, hours=spans.hours):
        if row := rows.of(*group):
            spans.add(row, hour, revenue)
    for *group, revenue in asking.read(_LAST):
        if row := rows.of(*group):
            row.last_period = EXACT.add(row.last_period, revenue)
    for *group, amount, is_bound in projections(asking.grouping, asking.about):
        if row := rows.of(*group):
            row.projection = EXACT.add(row.projection, amount)
            row.is_upper_bound |= is_bound
    found = rows.sorted(tenant.currency)
    return LiveRevenue(at, spans.first_hour, found[:most], max(total, len(found)))


class _Asking:
    """Statements about a tenant's groups, of some subscriptions or of all."""

    def __init__(self, tenant: Tenant, by: GroupBy, at: datetime) -> None:
        self.grouping = GROUPINGS[by]
        self._is_of_units = by in {GroupBy.METRIC, GroupBy.PRODUCT}
        self.about: dict[str, Any] = {"tenant": tenant.pk, "now": at, "own": tenant.currency}

    def narrow(self, customer_ids: Sequence[UUID]) -> None:
        """From now on these customers alone: few enough to be looked up one by one."""
        with connection.cursor() as cursor:
            cursor.execute(_SUBSCRIPTIONS, (self.about["tenant"], list(customer_ids)))
            self.about["subscriptions"] = [pk for (pk,) in cursor.fetchall()]

    def groups(self, *, since: datetime, most: int) -> tuple["_Rows", int]:
        """The largest groups with what their periods brought in, and how many there are."""
        found = self.read(_PERIOD, since=since, most=most)
        total = found[0][-1] if found else 0
        rows = _Rows(is_open=total <= most)
        for *group, revenue, _ in found:
            rows.add(*group).period = revenue
        return rows, total

    def read(self, statement: str, **more: object) -> list[tuple[Any, ...]]:
        query = statement.format(
            told=f"{self.grouping.key}, {self.grouping.label}, s.currency",
            joins=self.grouping.joins,
            of_units="" if self._is_of_units else "LEFT",
            only=only_some(self.about, "s.id"),
            adjusted=ADJUSTED.format(only=only_some(self.about, "p.subscription_id")),
            only_usage=only_some(self.about, "m.subscription_id"),
        )
        with connection.cursor() as cursor:
            cursor.execute(query, self.about | more)
            return list(cursor.fetchall())


class _Spans:
    """Which hours are today's, yesterday's up to the same point, and the sparkline's."""

    def __init__(self, at: datetime, midnight: datetime) -> None:
        self._midnight = midnight.astimezone(UTC)
        self._yesterday = (midnight - DAY).astimezone(UTC)
        local = at.astimezone(midnight.tzinfo)
        self._same_point = (local - DAY).astimezone(UTC)  # by the clock on the wall
        this_hour = at.replace(minute=0, second=0, microsecond=0)
        self.first_hour = this_hour - (SPARKLINE_HOURS - 1) * HOUR
        self.since = min(self._yesterday - HOUR, self.first_hour)
        self.hours = list(self._wanted(this_hour))

    def _wanted(self, last: datetime) -> Iterator[datetime]:
        """The hours that are in any of them: indexes are asked for these alone."""
        hour = self.since.replace(minute=0, second=0, microsecond=0)
        while hour <= last:
            is_today = hour >= self.first_hour or hour + HOUR > self._midnight
            if is_today or (hour < self._same_point and hour + HOUR > self._yesterday):
                yield hour
            hour += HOUR

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
    """The rows of groups. Where not all of them are told, others are not made."""

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open
        self._rows: dict[tuple[str, str], Revenue] = {}

    @property
    def all(self) -> Iterable[Revenue]:
        return self._rows.values()

    def add(self, key: str, label: str, currency: str) -> Revenue:
        return self._rows.setdefault((key, currency), Revenue(key, label, currency))

    def of(self, key: str, label: str, currency: str) -> Revenue | None:
        """None for a group that is not told."""
        if self._is_open:
            return self.add(key, label, currency)
        return self._rows.get((key, currency))

    def sorted(self, currency: str) -> list[Revenue]:
        """The tenant's own currency first, whoever brings in most first."""

        def order(row: Revenue) -> tuple[Any, ...]:
            return (row.currency != currency, row.currency, -row.period, row.label)

        return sorted(self._rows.values(), key=order)
