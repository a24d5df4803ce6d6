"""What running periods will bring in: usage goes on as it went so far, priced by its own terms."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from catalog.pricing import InvalidTerms, Terms
from catalog.selectors.prices import prices_of_totals
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
_OPEN = """
    FROM subscription_periods p
    JOIN running_totals m ON m.period_id = p.id
    JOIN billable_units u ON u.id = m.unit_id
    JOIN subscriptions s ON s.id = p.subscription_id
"""
_RUNNING = """
    WHERE p.tenant_id = %(tenant)s AND p.start_at <= %(now)s AND p.end_at > %(now)s
      AND p.kind = 'REGULAR' AND m.position > 0
"""
_DRAWN_ON = """
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


def projections(grouping: Grouping, about: Mapping[str, Any]) -> list[Projected]:
    """What usage of the running periods will come to at their ends; several rows for a group.

    The larger of two lines: revenue drawn on, and the price of the quantity drawn on. Where prices
    fall with the quantity the first is more, and an upper bound; where units are included, or
    prices rise, the second. Discounts, minimums and fees are no part of it.
    """
    about = {**about, "youngest": YOUNGEST}
    told = f"{grouping.key}, {grouping.label}, s.currency"
    tables = f"{_OPEN} {grouping.joins} {_RUNNING} {only_some(about, 's.id')}"
    with connection.cursor() as cursor:
        lines = f"SELECT {told}, sum({_DRAWN_ON}) {tables} AND {_STRAIGHT} GROUP BY 1, 2, 3"
        cursor.execute(lines, about)
        found = [Projected(*row) for row in cursor.fetchall()]
        curves = f"SELECT {told}, {COLUMNS} {tables} AND NOT ({_STRAIGHT})"
        cursor.execute(curves, about)
        rows = [(row[0], row[1], Total(*row[3:])) for row in cursor.fetchall()]
    return found + _priced(rows, about)


def _priced(rows: Sequence[tuple[str, str, Total]], about: Mapping[str, Any]) -> list[Projected]:
    keys = {(one.period_id, one.version_id, one.unit_id) for _, _, one in rows}
    prices = prices_of_totals(about["tenant"], keys) if keys else {}
    found = []
    for key, label, one in rows:
        price = prices[one.period_id, one.version_id, one.unit_id]
        try:
            terms = price.terms.of_dimension(one.dimension) if price else None
        except InvalidTerms:
            terms = None
        amount, is_bound = _projected(one, terms, about["now"])
        found.append(Projected(key, label, one.currency, amount, is_bound))
    return found


def _projected(total: Total, terms: Terms | None, now: datetime) -> tuple[Decimal, bool]:
    if not total.grows:
        return total.revenue, False
    line = drawn_on(total.revenue, total, now)
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
