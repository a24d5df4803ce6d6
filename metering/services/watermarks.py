"""What billing does to running totals: see that they exist, lock them, say how far is billed.

The only code outside the drain that writes totals, and it keeps the drain's order: missing totals
are inserted by (period, plan version, unit, dimension), then all are locked by id.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from metering.ingest.connection import hot_cursor

_ENSURE = """
    INSERT INTO running_totals (
        tenant_id, subscription_id, plan_version_id, unit_id, dimension, period_id,
        quantity, event_count, revenue, cost, position, digest
    )
    SELECT tenant_id, subscription_id, plan_version_id, unit_id, '', period_id,
           0, 0, 0, 0, 0, decode(repeat('00', 32), 'hex')
    FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[])
        AS wanted (tenant_id, subscription_id, plan_version_id, unit_id, period_id)
    ON CONFLICT (period_id, plan_version_id, unit_id, dimension) DO NOTHING
"""
_LOCK = """
    SELECT id, tenant_id, subscription_id, plan_version_id, unit_id, dimension, period_id,
           quantity, event_count, revenue, position, digest, billed_position
    FROM running_totals WHERE period_id = ANY(%s) ORDER BY id FOR UPDATE
"""
_ADJUSTMENTS = """
    SELECT running_total_id, sum(amount) FROM rating_adjustments
    WHERE running_total_id = ANY(%s) GROUP BY running_total_id
"""
_STAMP = """
    UPDATE running_totals SET billed_position = position, billed_quantity = quantity,
        billed_event_count = event_count, billed_revenue = revenue
    WHERE id = ANY(%s)
"""


@dataclass(frozen=True, slots=True, order=True)
class WantedTotal:
    """A priced unit of one plan version in one period: its total must exist, used or not."""

    period_id: UUID
    plan_version_id: UUID
    unit_id: UUID
    subscription_id: UUID
    tenant_id: UUID


@dataclass(frozen=True, slots=True)
class LockedTotal:
    """A running total as it stands under our lock; `adjustments` is their sum."""

    adjustments: Decimal
    id: int
    tenant_id: UUID
    subscription_id: UUID
    plan_version_id: UUID
    unit_id: UUID
    dimension: str
    period_id: UUID
    quantity: Decimal
    event_count: int
    revenue: Decimal
    position: int
    digest: bytes
    billed_position: int | None


def ensure_totals(wanted: Iterable[WantedTotal]) -> None:
    """Insert the totals that no event has made yet; those that exist are left as they are."""
    rows = sorted(set(wanted))  # the drain's order, so that neither waits for the other for ever
    if not rows:
        return
    columns = [
        [row.tenant_id for row in rows],
        [row.subscription_id for row in rows],
        [row.plan_version_id for row in rows],
        [row.unit_id for row in rows],
        [row.period_id for row in rows],
    ]
    with hot_cursor() as cursor:
        cursor.execute(_ENSURE, columns)


def lock_totals(period_ids: Collection[UUID]) -> list[LockedTotal]:
    """All totals of these periods by id, locked until the caller's transaction ends.

    Adjustments are written under the same lock, so a second statement reads them all.
    """
    with hot_cursor() as cursor:
        rows = cursor.execute(_LOCK, (list(period_ids),)).fetchall()
        found = cursor.execute(_ADJUSTMENTS, ([row[0] for row in rows],)).fetchall()
    adjustments: defaultdict[int, Decimal] = defaultdict(lambda: ZERO, found)
    return [LockedTotal(adjustments[row[0]], *row) for row in rows]


def stamp_billed(total_ids: Collection[int]) -> None:
    """Set the watermark of locked totals to where they stand: later events will be held."""
    with hot_cursor() as cursor:
        cursor.execute(_STAMP, (list(total_ids),))
