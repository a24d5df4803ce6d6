"""What a guard would have done, day by day, before anybody puts it in force."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from aforo.money import EXACT
from aforo.tenancy.models import Tenant
from catalog.models import Customer, SubscriptionPeriod
from metering.margin.arithmetic import Level
from metering.margin.books import PeriodBook, books_of, earlier_books
from metering.margin.judging import Judged, Known, Rule, judge
from metering.margin.slices import (
    Cost,
    Key,
    Used,
    reported,
    slices_since,
    spans_of,
    units_by_metric,
    used_in,
)
from metering.models import MarginGuard

DAYS = 30
MOST_JUDGEMENTS = 60_000  # about three seconds; with more customers, every so many days
SHOWN_CUSTOMERS = 50
_EVENTS = """
    SELECT t.period_id, t.plan_version_id, t.unit_id, (e.occurred_at AT TIME ZONE 'UTC')::date,
           sum(e.revenue), sum(e.cost)
    FROM usage_events e JOIN running_totals t ON t.id = e.running_total_id
    WHERE e.tenant_id = %s AND e.occurred_at >= %s AND e.occurred_at < %s
      AND t.period_id = ANY(%s)
    GROUP BY 1, 2, 3, 4
"""
_COSTS = """
    SELECT customer_id, currency, metric, (occurred_at AT TIME ZONE 'UTC')::date, sum(amount)
    FROM cost_events
    WHERE tenant_id = %s AND occurred_at >= %s AND occurred_at < %s AND customer_id = ANY(%s)
    GROUP BY 1, 2, 3, 4
"""
Daily = Mapping[date, Sequence[tuple[Key, Decimal, Decimal]]]


@dataclass(frozen=True, slots=True)
class RehearsedDay:
    """How many customers the guard would have held at the end of a day, by level."""

    day: date
    judged: int
    warned: int
    throttled: int
    blocked: int


@dataclass(frozen=True, slots=True)
class RehearsedCustomer:
    """The worst that would have happened to one customer, and on how many of the days."""

    customer: str
    level: Level
    first_day: date
    days: int
    judged: Judged


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """All days, the oldest first, and those customers whom it would have held, the worst first."""

    days: Sequence[RehearsedDay]
    customers: Sequence[RehearsedCustomer]
    held: int

    @property
    def worst(self) -> Counter[Level]:
        """How many customers would have come to which level."""
        return Counter(one.level for one in self.customers)


def rehearse(
    tenant: Tenant, *, rule: Rule, tags: Mapping[UUID, Collection[str]], now: datetime
) -> Rehearsal:
    """Judge the last 30 days by `rule`: from today's totals, less what each later day brought.

    Two statements over 30 days of events and costs. Fees are as the catalog has them now.
    """
    since = now - timedelta(days=DAYS)
    books = _books(tenant, rule, since, now)
    events = _events(tenant, books, since, now)
    costs = _costs(tenant, books, now)
    units = units_by_metric(tenant)
    used = used_in([book.period_id for book in books])
    found: list[tuple[date, dict[UUID, Judged]]] = []
    step = 1 + len(books) * DAYS // MOST_JUDGEMENTS
    for number, moment in enumerate(_moments(now)):
        if number % step == 0:
            running = [book for book in books if book.start <= moment < book.end]
            earlier = _earlier(books, running, moment)
            slices = list(slices_since(running, earlier, used))
            spent = _spent_by(costs, running, moment.date())
            slices += reported(running, earlier, spent, units)[0]
            judged = judge([rule], Known(slices, tags))
            by_customer = {customer_id: one for (_, customer_id), one in judged.items()}
            found.append((moment.date(), by_customer))
        _take_off(used, events.get(moment.date(), ()))
    return _told(tenant, found)


def _books(tenant: Tenant, rule: Rule, since: datetime, now: datetime) -> list[PeriodBook]:
    rows = SubscriptionPeriod.objects.for_tenant(tenant).filter(start_at__lt=now, end_at__gt=since)
    if rule.scope == MarginGuard.Scope.CUSTOMER:
        rows = rows.filter(subscription__customer_id=rule.customer_id)
    books = books_of(tenant, rows.order_by("start_at", "id").values_list("pk", flat=True))
    began = {customer_id: start for customer_id, (start, _) in spans_of(books).items()}
    known = {book.period_id for book in books}
    earlier = earlier_books(tenant, began, now=now)
    return [*(one for one in earlier if one.period_id not in known), *books]


def _earlier(
    books: Sequence[PeriodBook], running: Sequence[PeriodBook], moment: datetime
) -> list[PeriodBook]:
    """Those that ended before a moment, since the first of their customer's running ones began."""
    spans = spans_of(running)
    return [
        book
        for book in books
        if book.end <= moment
        and book.customer_id in spans
        and book.end > spans[book.customer_id][0]
    ]


def _moments(now: datetime) -> Iterator[datetime]:
    """Now, and the last instants of the days before."""
    yield now
    midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    for number in range(DAYS - 1):
        yield midnight - timedelta(days=number, microseconds=1)


def _events(tenant: Tenant, books: Sequence[PeriodBook], since: datetime, now: datetime) -> Daily:
    found: defaultdict[date, list[tuple[Key, Decimal, Decimal]]] = defaultdict(list)
    with connection.cursor() as cursor:
        ids = [book.period_id for book in books]
        cursor.execute(_EVENTS, (tenant.pk, since, now + timedelta(days=1), ids))
        for period_id, version_id, unit_id, day, revenue, cost in cursor.fetchall():
            found[day].append(((period_id, version_id, unit_id), revenue, cost))
    return found


def _costs(
    tenant: Tenant, books: Sequence[PeriodBook], now: datetime
) -> Mapping[UUID, list[tuple[date, Cost]]]:
    found: defaultdict[UUID, list[tuple[date, Cost]]] = defaultdict(list)
    if not books:
        return found
    customers = list({book.customer_id for book in books})
    since = min(book.start for book in books)
    with connection.cursor() as cursor:
        cursor.execute(_COSTS, (tenant.pk, since, now + timedelta(days=1), customers))
        for customer_id, currency, metric, day, amount in cursor.fetchall():
            found[customer_id].append((day, (customer_id, currency, metric, amount)))
    return found


def _spent_by(
    costs: Mapping[UUID, list[tuple[date, Cost]]], running: Sequence[PeriodBook], day: date
) -> Iterator[Cost]:
    """What was reported until the end of a day, since the customer's running periods began."""
    begun: dict[UUID, date] = {}
    for book in running:
        start = book.start.astimezone(UTC).date()
        begun[book.customer_id] = min(start, begun.get(book.customer_id, start))
    for customer_id, start in begun.items():
        yield from (cost for at, cost in costs.get(customer_id, ()) if start <= at <= day)


def _take_off(used: dict[Key, Used], events: Sequence[tuple[Key, Decimal, Decimal]]) -> None:
    """Totals as they stood before a day's events."""
    for key, revenue, cost in events:
        was = used.get(key, Used())
        used[key] = Used(
            EXACT.subtract(was.revenue, revenue), EXACT.subtract(was.cost, cost), was.dimensions
        )


def _told(tenant: Tenant, found: Sequence[tuple[date, Mapping[UUID, Judged]]]) -> Rehearsal:
    days, worst, held = [], dict[UUID, tuple[date, Judged]](), Counter[UUID]()
    for day, judged in reversed(found):
        levels = Counter(one.level for one in judged.values())
        days.append(
            RehearsedDay(
                day,
                len(judged),
                levels[Level.L1_ALERT],
                levels[Level.L2_THROTTLE],
                levels[Level.L3_BLOCK],
            )
        )
        for customer_id, one in judged.items():
            if one.level != Level.NONE:
                held[customer_id] += 1
                first = worst.get(customer_id)
                if first is None or one.level.rank > first[1].level.rank:
                    worst[customer_id] = day, one
    names = dict(
        Customer.objects.for_tenant(tenant).filter(pk__in=worst).values_list("pk", "external_id")
    )
    customers = [
        RehearsedCustomer(names[customer_id], one.level, day, held[customer_id], one)
        for customer_id, (day, one) in worst.items()
    ]
    customers.sort(key=lambda one: (-one.level.rank, one.judged.margin.profit, one.customer))
    return Rehearsal(days, customers, len(customers))
