"""Passing units on: what later periods may use is not free for late usage of a billed period.

Free units are those within the included ones and the rollover; a total that has passed some on has
a rollover that is smaller by them, below zero where its own included units went on. Nothing that is
billed changes its price by it: what was used before was free, and stays so.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from catalog.selectors.prices import PeriodPrice, prices_of_totals
from metering.ingest.connection import hot_cursor
from metering.services.adjusting import Adjustment, adjust
from metering.services.estimates import adjustment_of
from metering.services.watermarks import LockedTotal, lock_totals

PASSED_ON = "left over to later periods"
TAKEN_BACK = "left over to later periods no more: it is to be billed again"

_MOVE = """
    UPDATE running_totals t
    SET rollover = t.rollover + t.passed_on - g.units, passed_on = g.units
    FROM unnest(%s::bigint[], %s::numeric[]) AS g (id, units) WHERE t.id = g.id
"""
_NOTE = """
    INSERT INTO rating_adjustments (tenant_id, running_total_id, amount, reason, "position",
        quantity, rollover, carried, created_at)
    SELECT tenant_id, id, 0, %s, "position", quantity, rollover, carried, %s
    FROM running_totals WHERE id = ANY(%s) ORDER BY id
"""
_MOVED = """
    SELECT id, passed_on FROM running_totals
    WHERE tenant_id = %s AND period_id = %s AND passed_on <> 0
"""
_FORGET = "UPDATE running_totals SET passed_on = 0 WHERE id = ANY(%s)"


def pass_on(units: Mapping[int, Decimal], *, now: datetime) -> None:
    """Take what later periods may use, by total, off what is free in locked ones; two statements.

    A row of no amount says from which position on: events up to there had those units.
    """
    if not units:
        return
    with hot_cursor() as cursor:
        cursor.execute(_MOVE, (list(units), list(units.values())))
        cursor.execute(_NOTE, (PASSED_ON, now, list(units)))


def take_units_back(*, tenant_id: UUID, period_id: UUID, now: datetime) -> None:
    """Give the locked totals of a period, which is to be billed anew, all of their units again.

    What late usage was asked for without them is adjusted. Raises InvalidTerms for a price that
    cannot be read.
    """
    with hot_cursor() as cursor:
        passed = dict(cursor.execute(_MOVED, (tenant_id, period_id)).fetchall())
    if not passed:
        return
    totals = lock_totals((), more_ids=passed)
    keys = {total.id: (total.period_id, total.plan_version_id, total.unit_id) for total in totals}
    prices = prices_of_totals(tenant_id, set(keys.values()))
    adjust(
        [_returned(one, passed[one.id], prices[keys[one.id]]) for one in totals],
        now=now,
    )
    with hot_cursor() as cursor:
        cursor.execute(_FORGET, (list(passed),))


def _returned(total: LockedTotal, units: Decimal, price: PeriodPrice | None) -> Adjustment:
    whole = replace(total, rollover=EXACT.add(total.rollover, units))
    if price is None:
        return adjustment_of(whole, ZERO, TAKEN_BACK)
    after = whole.terms(price.terms).charge(whole.usage)
    before = total.terms(price.terms).charge(total.usage)
    return adjustment_of(whole, EXACT.subtract(after, before), TAKEN_BACK)
