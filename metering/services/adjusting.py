"""Adjustments: what a total owes anew without an event, written under its lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from metering.ingest.connection import hot_cursor

_ADD = """
    INSERT INTO rating_adjustments (tenant_id, running_total_id, amount, reason, "position",
        quantity, rollover, carried, cost, moved_values, created_at)
    SELECT tenant_id, id, amount, reason, at, quantity, rollover, carried, cost, moved::jsonb, %s
    FROM unnest(%s::uuid[], %s::bigint[], %s::numeric[], %s::text[], %s::bigint[], %s::numeric[],
                %s::numeric[], %s::numeric[], %s::numeric[], %s::text[])
        AS given(tenant_id, id, amount, reason, at, quantity, rollover, carried, cost, moved)
"""
_WRITE = """
    UPDATE running_totals t SET quantity = g.quantity, rollover = g.rollover, carried = g.carried,
        cost = t.cost + g.cost
    FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])
        AS g(id, quantity, rollover, carried, cost)
    WHERE t.id = g.id
"""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`amount` more is owed by a locked total, which stands at all of this from now on.

    `cost` is added to what it has cost; `moved_values` is JSON.
    """

    tenant_id: UUID
    running_total_id: int
    amount: Decimal
    reason: str
    position: int
    quantity: Decimal
    rollover: Decimal
    carried: Decimal | None
    cost: Decimal = ZERO
    moved_values: str | None = None


def adjust(adjustments: Sequence[Adjustment], *, now: datetime) -> None:
    """Write one row per adjustment, and the totals as they stand after; two statements."""
    if not adjustments:
        return
    ids = [one.running_total_id for one in adjustments]
    quantities = [one.quantity for one in adjustments]
    rollovers = [one.rollover for one in adjustments]
    carried = [one.carried for one in adjustments]
    costs = [one.cost for one in adjustments]
    with hot_cursor() as cursor:
        cursor.execute(_WRITE, (ids, quantities, rollovers, carried, costs))
        cursor.execute(
            _ADD,
            (
                now,
                [one.tenant_id for one in adjustments],
                ids,
                [one.amount for one in adjustments],
                [one.reason for one in adjustments],
                [one.position for one in adjustments],
                quantities,
                rollovers,
                carried,
                costs,
                [one.moved_values for one in adjustments],
            ),
        )
