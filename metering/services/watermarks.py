"""What billing does to running totals: see that they exist, lock them, say how far is billed.

The only code outside the drain that writes totals, and it keeps the drain's order: missing totals
are inserted by (period, plan version, unit, dimension), then all are locked by id.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
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
           quantity, event_count, revenue, position, digest,
           billed_position, billed_quantity, billed_event_count, billed_revenue
    FROM running_totals WHERE period_id = ANY(%s) OR id = ANY(%s) ORDER BY id FOR UPDATE
"""
_LATE = """
    SELECT running_total_id FROM late_totals WHERE tenant_id = %s AND subscription_id = ANY(%s)
"""
_SETTLED = "DELETE FROM late_totals WHERE running_total_id = ANY(%s)"
_DEFER = "UPDATE late_totals SET deferred_at = %s WHERE running_total_id = ANY(%s)"
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
    billed_quantity: Decimal | None
    billed_event_count: int | None
    billed_revenue: Decimal | None


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


def late_totals_of(tenant_id: UUID, subscription_ids: Collection[UUID]) -> list[int]:
    """Ids of their billed totals that may have taken events since: what to lock and look at."""
    with hot_cursor() as cursor:
        rows = cursor.execute(_LATE, (tenant_id, list(subscription_ids))).fetchall()
    return [total_id for (total_id,) in rows]


def lock_totals(
    period_ids: Collection[UUID], *, more_ids: Collection[int] = ()
) -> list[LockedTotal]:
    """All totals of these periods, and more, by id, locked until the caller's transaction ends.

    Adjustments are written under the same lock, so a second statement reads them all.
    """
    with hot_cursor() as cursor:
        rows = cursor.execute(_LOCK, (list(period_ids), list(more_ids))).fetchall()
        found = cursor.execute(_ADJUSTMENTS, ([row[0] for row in rows],)).fetchall()
    adjustments: defaultdict[int, Decimal] = defaultdict(lambda: ZERO, found)
    return [LockedTotal(adjustments[row[0]], *row) for row in rows]


def stamp_billed(total_ids: Collection[int]) -> None:
    """Set the watermark of locked totals to where they stand: what comes later is late."""
    with hot_cursor() as cursor:
        cursor.execute(_STAMP, (list(total_ids),))
        cursor.execute(_SETTLED, (list(total_ids),))


def defer_late(total_ids: Collection[int], *, now: datetime) -> None:
    """Note that a run had no room for what locked totals owe the customer; nothing to try for."""
    if total_ids:
        with hot_cursor() as cursor:
            cursor.execute(_DEFER, (now, list(total_ids)))
