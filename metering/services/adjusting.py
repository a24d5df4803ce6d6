"""Adjustments: what a total owes anew without an event, written under its lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from metering.ingest.connection import hot_cursor

_ADD = """
    INSERT INTO rating_adjustments (tenant_id, running_total_id, amount, reason, "position",
        quantity, rollover, carried, created_at)
    SELECT given.*, %s
    FROM unnest(%s::uuid[], %s::bigint[], %s::numeric[], %s::text[], %s::bigint[], %s::numeric[],
                %s::numeric[], %s::numeric[]) AS given
"""
_WRITE = """
    UPDATE running_totals t SET quantity = g.quantity, rollover = g.rollover, carried = g.carried
    FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[])
        AS g(id, quantity, rollover, carried)
    WHERE t.id = g.id
"""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`amount` more is owed by a locked total, which stands at all of this from now on."""

    tenant_id: UUID
    running_total_id: int
    amount: Decimal
    reason: str
    position: int
    quantity: Decimal
    rollover: Decimal
    carried: Decimal | None


def adjust(adjustments: Sequence[Adjustment], *, now: datetime) -> None:
    """Write one row per adjustment, and the totals as they stand after; two statements."""
    if not adjustments:
        return
    ids = [one.running_total_id for one in adjustments]
    quantities = [one.quantity for one in adjustments]
    rollovers = [one.rollover for one in adjustments]
    carried = [one.carried for one in adjustments]
    with hot_cursor() as cursor:
        cursor.execute(_WRITE, (ids, quantities, rollovers, carried))
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
            ),
        )
