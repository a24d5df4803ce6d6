"""What billing does to running totals: see that they exist, lock them, say how far is billed.

The only code outside the drain that writes totals, and it keeps the drain's order: missing totals
are inserted by (period, plan version, unit, dimension), then all are locked by id.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

from aforo.money import EXACT, ZERO
from catalog.pricing import Terms, Usage
from catalog.selectors.prices import with_rollover
from metering.aggregation import Span
from metering.aggregation.state import Stored, usage_in
from metering.ingest.connection import hot_cursor
from metering.proof import microseconds

# A drain holds the periods in which it makes totals of dimensions FOR UPDATE; this keeps it out,
# and nobody else, not even who cuts such a period.
_KEEP_DIMENSIONS = """
    SELECT FROM subscription_periods WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE
"""
_LOCK = """
    SELECT t.id, t.tenant_id, t.subscription_id, t.plan_version_id, t.unit_id, t.dimension,
           t.period_id, t.quantity, t.event_count, t.revenue, t.position, t.digest,
           t.billed_position, t.billed_quantity, t.billed_event_count, t.billed_revenue,
           t.state, t.rollover, t.carried, t.billed_state, t.billed_adjustments,
           u.aggregation, u.recurring, p.start_at, p.end_at, t.cost, u.unit_cost
    FROM running_totals t
    JOIN billable_units u ON u.id = t.unit_id
    LEFT JOIN subscription_periods p ON p.id = t.period_id
    WHERE t.period_id = ANY(%s) OR t.id = ANY(%s) ORDER BY t.id FOR UPDATE OF t
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
    UPDATE running_totals t SET billed_position = position, billed_quantity = quantity,
        billed_event_count = event_count, billed_revenue = revenue, billed_state = state,
        billed_adjustments = (
            SELECT coalesce(sum(amount), 0) FROM rating_adjustments WHERE running_total_id = t.id)
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
    state: Stored = None
    rollover: Decimal = ZERO
    carried: Decimal | None = None
    billed_state: Stored = None
    billed_adjustments: Decimal | None = None
    aggregation: str = ""
    is_recurring: bool = False
    period_start: datetime | None = None  # None: the period was taken back
    period_end: datetime | None = None
    cost: Decimal = ZERO
    unit_cost: Decimal = ZERO  # by the catalog

    @property
    def usage(self) -> Usage:
        """What its terms charge."""
        return usage_in(self.quantity, self.event_count, self.state)

    @property
    def billed_usage(self) -> Usage:
        """What they charged at the watermark; nothing without one."""
        quantity, count = self.billed_quantity or ZERO, self.billed_event_count or 0
        return usage_in(quantity, count, self.billed_state)

    @property
    def late_revenue(self) -> Decimal:
        """What was added to its price since the watermark, by events and by adjustments."""
        now = EXACT.add(self.revenue, self.adjustments)
        billed = EXACT.add(self.billed_revenue or ZERO, self.billed_adjustments or ZERO)
        return EXACT.subtract(now, billed)

    @property
    def span(self) -> Span:
        """Its period in microseconds; that of a period which was taken back lasts one."""
        if self.period_start is None or self.period_end is None:
            return (0, 1)
        return microseconds(self.period_start), microseconds(self.period_end)

    def adjusted(self, amount: Decimal, cost: Decimal) -> Self:
        """The total once an adjustment of so much was written."""
        adjustments = EXACT.add(self.adjustments, amount)
        return replace(self, adjustments=adjustments, cost=EXACT.add(self.cost, cost))

    def terms(self, of_period: Terms) -> Terms:
        """The terms of its dimension, with what it was granted by rollover."""
        return with_rollover(of_period.of_dimension(self.dimension), self.rollover)


def keep_dimensions(period_ids: Collection[UUID]) -> None:
    """Let no event make a total of another dimension in these periods until our transaction ends.

    Waits for those that are at it. Of several waves of one transaction, before the first.
    """
    with hot_cursor() as cursor:
        cursor.execute(_KEEP_DIMENSIONS, (list(period_ids),))


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
