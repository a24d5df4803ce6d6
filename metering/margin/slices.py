"""Who brings in how much and costs how much now: from totals and reported costs, never events.

A slice is the smallest part that margins are told of: one unit of one plan of one subscription.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit
from metering.margin.arithmetic import Margin, split
from metering.margin.books import PeriodBook, PlanBook, current_books, earlier_books

# One statement, so that nothing is read of a total that another one did not see.
_USED = """
    SELECT period_id, plan_version_id, unit_id, sum(revenue), sum(cost),
           coalesce(array_agg(dimension) FILTER (WHERE position > 0 AND dimension <> ''), '{}')
    FROM (
        SELECT r.period_id, r.plan_version_id, r.unit_id, r.revenue, r.cost, r.dimension, r.position
        FROM running_totals r WHERE r.period_id = ANY(%(periods)s)
        UNION ALL
        SELECT r.period_id, r.plan_version_id, r.unit_id, a.amount, 0, '', 0
        FROM running_totals r JOIN rating_adjustments a ON a.running_total_id = r.id
        WHERE r.period_id = ANY(%(periods)s)) AS parts
    GROUP BY 1, 2, 3
"""
_COSTS = """
    SELECT c.customer_id, c.currency, c.metric, sum(c.amount)
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[]) AS w (customer_id, since, until)
    JOIN cost_events c
      ON c.tenant_id = %s AND c.customer_id = w.customer_id
     AND c.occurred_at >= w.since AND c.occurred_at < w.until
    GROUP BY 1, 2, 3
"""
_MICROSECOND = timedelta(microseconds=1)
Key = tuple[UUID, UUID, UUID]  # period, plan version, unit
Cost = tuple[UUID, str, str, Decimal]  # customer, currency, metric, amount


@dataclass(frozen=True, slots=True)
class Slice:
    """What one unit (None: none in particular) brings in and costs under one plan.

    `is_foreign`: a cost in a currency that its customer does not pay in; its book has that one.
    `is_over`: of a period that ended while another one of its customer was running already, or a
    cost in a currency that its customer pays in no more.
    """

    book: PeriodBook
    plan_id: UUID | None
    unit_id: UUID | None
    margin: Margin
    is_foreign: bool = False
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """What the totals of one unit in one period came to."""

    revenue: Decimal = ZERO
    cost: Decimal = ZERO
    dimensions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Slices:
    """All slices of the periods that run, and how much of them is cost in foreign currencies."""

    rows: Sequence[Slice]
    unmatched: Mapping[tuple[UUID, str], Decimal] = field(default_factory=dict)


def current_slices(
    tenant: Tenant, *, now: datetime, customer_ids: Collection[UUID] | None = None
) -> Slices:
    """The slices of all customers, or of some, in five statements and those of unknown books.

    Revenue is what the period's invoice will ask for before discounts, as far as usage has come;
    where a minimum was promised, no less. Costs count since the first of a customer's running
    periods began, and so does what its other periods have brought in since then.
    """
    books = current_books(tenant, now=now, customer_ids=customer_ids)
    spans = spans_of(books)
    began = {customer_id: since for customer_id, (since, _) in spans.items()}
    earlier = earlier_books(tenant, began, now=now)
    used = used_in([book.period_id for book in (*books, *earlier)])
    costs, unmatched = reported(books, earlier, _costs(tenant, spans), units_by_metric(tenant))
    return Slices([*slices_since(books, earlier, used), *costs], unmatched)


def slices_since(
    running: Sequence[PeriodBook], earlier: Iterable[PeriodBook], used: Mapping[Key, Used]
) -> Iterator[Slice]:
    """The slices of running periods, and of earlier ones by the time that these have run."""
    spans = spans_of(running)
    for book in running:
        yield from slices_of(book, used)
    for book in earlier:
        since, _ = spans[book.customer_id]
        for one in slices_of(book, used):
            yield replace(one, margin=_since(one, since), is_over=True)


def _since(one: Slice, since: datetime) -> Margin:
    """What came of a period after a moment, if it came evenly; all of it where it began later."""
    start, end = one.book.start, one.book.end
    if start >= since:
        return one.margin
    part, whole = Decimal((end - since) // _MICROSECOND), Decimal((end - start) // _MICROSECOND)
    revenue, cost = (
        divide(EXACT.multiply(amount, part), whole)
        for amount in (one.margin.revenue, one.margin.cost)
    )
    return Margin(revenue, cost)


def used_in(period_ids: Collection[UUID]) -> dict[Key, Used]:
    """What usage came to in these periods, adjustments included, by period, version and unit."""
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"periods": list(period_ids)})
        return {(p, v, u): Used(*came_to) for p, v, u, *came_to in cursor.fetchall()}


def slices_of(book: PeriodBook, used: Mapping[Key, Used]) -> Iterator[Slice]:
    """The slices of one period: what belongs to no unit alone is shared evenly by all of them."""
    found = [_of_plan(book, plan, used) for plan in book.plans]
    total = ZERO
    for margins in found:
        for margin in margins.values():
            total = EXACT.add(total, margin.revenue)
    short = max(ZERO, EXACT.subtract(book.minimum, total))
    if found:  # a contract's minimum is of all plans: the first one shows what is missing
        found[0] = _with_fee(found[0], short)
    for plan, margins in zip(book.plans, found, strict=True):
        for unit_id, margin in margins.items():
            yield Slice(book, plan.plan_id, unit_id, margin)


def _of_plan(
    book: PeriodBook, plan: PlanBook, used: Mapping[Key, Used]
) -> dict[UUID | None, Margin]:
    margins: dict[UUID | None, Margin] = {}
    total = plan.base_fee
    for unit in plan.units:
        came = used.get((book.period_id, plan.version_id, unit.unit_id), Used())
        revenue = EXACT.add(came.revenue, unit.flat(came.dimensions))
        margins[unit.unit_id] = Margin(revenue, came.cost)
        total = EXACT.add(total, revenue)
    short = max(ZERO, EXACT.subtract(plan.minimum, total))
    return _with_fee(margins, EXACT.add(plan.base_fee, short))


def _with_fee(margins: dict[UUID | None, Margin], fee: Decimal) -> dict[UUID | None, Margin]:
    """Each unit with its part of what is due for all of them together."""
    if not fee:
        return margins
    if not margins:
        return {None: Margin(fee)}
    parts = split(fee, len(margins))
    return {
        unit_id: margin + Margin(part)
        for (unit_id, margin), part in zip(margins.items(), parts, strict=True)
    }


def spans_of(books: Iterable[PeriodBook]) -> dict[UUID, tuple[datetime, datetime]]:
    """By customer, when the first of these periods begins and the last one ends."""
    spans: dict[UUID, tuple[datetime, datetime]] = {}
    for book in books:
        since, until = spans.get(book.customer_id, (book.start, book.end))
        spans[book.customer_id] = min(since, book.start), max(until, book.end)
    return spans


def reported(
    running: Iterable[PeriodBook],
    earlier: Iterable[PeriodBook],
    costs: Iterable[Cost],
    units: Mapping[str, UUID],
) -> tuple[list[Slice], dict[tuple[UUID, str], Decimal]]:
    """Reported costs as slices of the subscription that runs longest in their currency.

    Those that ended since count where nothing that runs is paid in it, and their costs are of what
    is over. Where the customer never paid in it, of the one that runs longest: a cost without
    revenue, in its own currency. How much that is, by customer and currency, is returned beside.
    """
    paid = _longest_running(running)
    firsts = _longest_running(earlier) | paid
    rows, foreign = [], defaultdict[tuple[UUID, str], Decimal](Decimal)
    for customer_id, currency, metric, amount in costs:
        owner = firsts.get((customer_id, currency))
        is_foreign = owner is None
        is_over = not is_foreign and (customer_id, currency) not in paid
        if owner is None:
            owner = replace(firsts[customer_id, ""], currency=currency)
            foreign[customer_id, currency] = EXACT.add(foreign[customer_id, currency], amount)
        plan_id = owner.plans[0].plan_id if owner.plans else None
        margin = Margin(ZERO, amount)
        rows.append(Slice(owner, plan_id, units.get(metric), margin, is_foreign, is_over))
    return rows, dict(foreign)


def _longest_running(books: Iterable[PeriodBook]) -> dict[tuple[UUID, str], PeriodBook]:
    """By customer and currency, and by customer and "" for any."""
    firsts: dict[tuple[UUID, str], PeriodBook] = {}
    for book in books:
        for currency in (book.currency, ""):
            first = firsts.setdefault((book.customer_id, currency), book)
            if book.subscribed_at < first.subscribed_at:
                firsts[book.customer_id, currency] = book
    return firsts


def _costs(tenant: Tenant, spans: Mapping[UUID, tuple[datetime, datetime]]) -> list[Cost]:
    if not spans:
        return []
    since = [span[0] for span in spans.values()]
    until = [span[1] for span in spans.values()]
    with connection.cursor() as cursor:
        cursor.execute(_COSTS, (list(spans), since, until, tenant.pk))
        return list(cursor.fetchall())


def units_by_metric(tenant: Tenant | UUID) -> dict[str, UUID]:
    """Units by what cost events call them: their own name, else the metric that they count."""
    rows = BillableUnit.objects.for_tenant(tenant).order_by("-name")
    named = list(rows.values_list("pk", "name", "source_metric"))
    by_metric = {source: pk for pk, _, source in named if source}
    return by_metric | {name: pk for pk, name, _ in named}
