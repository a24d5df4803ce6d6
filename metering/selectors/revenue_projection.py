"""What running periods will bring in: usage goes on as it went so far, priced by its own terms."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from catalog.pricing import InvalidTerms, Terms
from catalog.selectors.prices import PeriodPrice, PriceKey, prices_of_totals
from metering.selectors.paces import COLUMNS, YOUNGEST, Total, pace_of
from metering.selectors.revenue_groups import Grouping, only_some

_SAME = Decimal("0.000001")  # what is nearer than this differs by rounding alone
# A plain price per unit is a straight line: the share of time is all there is to know.
_STRAIGHT = """
    p.contract_phase_id IS NULL AND NOT EXISTS (
        SELECT FROM unit_prices x
        WHERE x.version_id = m.plan_version_id AND x.unit_id = m.unit_id
          AND (x.terms - 'model' - 'rate') <> '{}'::jsonb)
"""
# Whole periods without a contract share the price of their plan in their currency.
_SHARED = """
    p.contract_phase_id IS NULL AND p.whole_start_at = p.start_at AND p.whole_end_at IS NULL
"""
_OPEN = """
    FROM subscription_periods p
    JOIN running_totals m ON m.period_id = p.id
    JOIN billable_units u ON u.id = m.unit_id
    JOIN subscriptions s ON s.id = p.subscription_id
    LEFT JOIN adjusted a ON a.running_total_id = m.id
"""
_RUNNING = """
    WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s
      AND p.kind = 'REGULAR' AND (m.position > 0 OR m.carried IS NOT NULL)
"""
# What no event brought, such as a level that was carried over: due once, however old the period.
ADJUSTED = """
    WITH adjusted AS (
        SELECT a.running_total_id, sum(a.amount) AS amount
        FROM subscription_periods p
        JOIN running_totals m ON m.period_id = p.id
        JOIN rating_adjustments a ON a.running_total_id = m.id
        WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s {only}
        GROUP BY 1)
"""
_DRAWN_ON = """
    coalesce(a.amount, 0) +
    CASE WHEN u.aggregation IN ('COUNT', 'SUM', 'UNIQUE') AND NOT u.recurring
         THEN round(m.revenue * extract(epoch FROM p.end_at - p.start_at)
                    / extract(epoch FROM greatest(%(now)s - p.start_at, %(youngest)s)), 12)
         ELSE m.revenue END
"""


class Projected(NamedTuple):
    """Of one group in one currency; an upper bound where tiers make it one."""

    key: str
    label: str
    currency: str
    amount: Decimal
    is_upper_bound: bool = False


class _Open(NamedTuple):
    """A total of a running period, and the group that it counts for."""

    key: str
    label: str
    is_shared: bool
    adjusted: Decimal
    total: Total

    @property
    def price(self) -> PriceKey:
        return self.total.period_id, self.total.version_id, self.total.unit_id


def projections(grouping: Grouping, about: Mapping[str, Any]) -> list[Projected]:
    """What usage of the running periods will come to at their ends; several rows for a group.

    The larger of two lines: revenue drawn on, and the price of the quantity drawn on. Where prices
    fall with the quantity the first is more, and an upper bound; where units are included, or
    prices rise, the second. What was carried over is added once. Discounts, minimums and fees are
    no part of it.
    """
    about = {**about, "youngest": YOUNGEST}
    told = f"{grouping.key}, {grouping.label}, s.currency"
    tables = f"{_OPEN} {grouping.joins} {_RUNNING} {only_some(about, 's.id')}"
    adjusted = ADJUSTED.format(only=only_some(about, "p.subscription_id"))
    with connection.cursor() as cursor:
        lines = (
            f"{adjusted} SELECT {told}, sum({_DRAWN_ON}) {tables} AND {_STRAIGHT} GROUP BY 1, 2, 3"
        )
        cursor.execute(lines, about)
        found = [Projected(*row) for row in cursor.fetchall()]
        more = f"{_SHARED}, coalesce(a.amount, 0), {COLUMNS}"
        curves = f"{adjusted} SELECT {told}, {more} {tables} AND NOT ({_STRAIGHT})"
        cursor.execute(curves, about)
        rows = [_Open(row[0], row[1], row[3], row[4], Total(*row[5:])) for row in cursor.fetchall()]
    return found + _priced(rows, about)


def _priced(rows: Sequence[_Open], about: Mapping[str, Any]) -> list[Projected]:
    terms = _terms(rows, about["tenant"])
    return [
        Projected(
            one.key,
            one.label,
            one.total.currency,
            *_projected(one, own, about["now"]),
        )
        for one, own in zip(rows, terms, strict=True)
    ]


def _terms(rows: Sequence[_Open], tenant_id: UUID) -> Iterator[Terms | None]:
    """The terms of each total; one price is read for all that share it."""
    firsts: dict[tuple[UUID, UUID, str], PriceKey] = {}
    keys = []
    for one in rows:
        total = one.total
        shared = (total.version_id, total.unit_id, total.currency)
        keys.append(firsts.setdefault(shared, one.price) if one.is_shared else one.price)
    prices = prices_of_totals(tenant_id, set(keys)) if keys else {}
    known: dict[tuple[PriceKey, str], Terms | None] = {}
    for one, key in zip(rows, keys, strict=True):
        dimension = one.total.dimension
        if (key, dimension) not in known:
            known[key, dimension] = _of_dimension(prices[key], dimension)
        yield known[key, dimension]


def _of_dimension(price: PeriodPrice | None, dimension: str) -> Terms | None:
    try:
        return price.terms.of_dimension(dimension) if price else None
    except InvalidTerms:
        return None


def _projected(one: _Open, terms: Terms | None, now: datetime) -> tuple[Decimal, bool]:
    total = one.total
    if not total.grows:
        return EXACT.add(total.revenue, one.adjusted), False
    line = EXACT.add(drawn_on(total.revenue, total, now), one.adjusted)
    if terms is None or terms.keeps_parts or terms.counts_transactions:
        return line, False  # each event is priced by itself
    pace = pace_of(total, terms, now)
    priced = pace.terms.unmeasured()
    price = EXACT.subtract(priced.charge(pace.projected), priced.charge(ZERO))
    if EXACT.subtract(line, price) > _SAME:
        return line, True
    return price, False


def drawn_on(amount: Decimal, total: Total, now: datetime) -> Decimal:
    """`amount` until now as it will be at the end of the period, if it grows evenly."""
    whole = Decimal((total.end_at - total.start_at).total_seconds())
    passed = Decimal(max(now - total.start_at, YOUNGEST).total_seconds())
    return divide(EXACT.multiply(amount, whole), passed)
