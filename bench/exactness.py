"""Whether speed cost a cent: every event there once, every group's revenue its price, exactly."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple

import psycopg

from prices import price
from sql import row

_EVENTS = "SELECT count(*), count(DISTINCT (tenant_id, idempotency_key)) FROM usage_events"
_TOTALS = """
    SELECT u.name, r.quantity, r.revenue, e.quantity, e.count, e.revenue
    FROM running_totals r
    JOIN billable_units u ON u.id = r.unit_id
    JOIN (
        SELECT running_total_id, count(*), sum(revenue) AS revenue,
               sum(quantity) AS quantity
        FROM usage_events GROUP BY 1
    ) e ON e.running_total_id = r.id
"""


class _Total(NamedTuple):
    """A running total, and the sums of its events."""

    metric: str
    quantity: Decimal
    revenue: Decimal
    summed_quantity: Decimal
    events: int
    summed_revenue: Decimal

    @property
    def off_by(self) -> Decimal:
        """How far the total is from the sums, and the sum of revenue from the price."""
        counts = self.metric in {"calls", "requests"}
        aggregated = Decimal(self.events) if counts else self.summed_quantity
        return (
            abs(self.quantity - aggregated)
            + abs(self.revenue - self.summed_revenue)
            + abs(self.summed_revenue - price(self.metric, aggregated))
        )


@dataclass(frozen=True)
class Exactness:
    """Events lost and doubled, groups looked at, and by how much their revenue is off in sum."""

    missing: int
    twice: int
    groups: int
    off_by: Decimal


def check(connection: psycopg.Connection, *, expected: int) -> Exactness:
    """Compare what was counted with what was sent, and with prices worked out here."""
    rows, distinct = row(connection, _EVENTS)
    totals = [_Total(*total) for total in connection.execute(_TOTALS)]
    with localcontext(prec=60):
        off_by = sum((total.off_by for total in totals), Decimal(0))
    return Exactness(expected - distinct, rows - distinct, len(totals), off_by)
