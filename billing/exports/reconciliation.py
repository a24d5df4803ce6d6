"""The reconciliation of a bill run: what was received in its window, and where each event is now.

received = billed + free + late + open + unbilled + duplicates + dead + held + waived + waiting, in
events as they came, not in rows: an event that two units count is one. The window is by the time of
receipt, which every event has, also one that was refused. What was received is the sum of what the
doors wrote down; everything else is counted where it lies, so the two sides prove each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, Sum

from billing.models import BillRun, Invoice

_WINDOW = "tenant_id = %(tenant)s AND received_at > %(start)s AND received_at <= %(end)s"
_DAYS = "tenant_id = %(tenant)s AND day >= %(start)s::date AND day < %(end)s::date"
# The best thing that can be said of an event decides: it was billed, if only by one unit of two.
# 1 billed at a price, 2 billed later than its period, 3 billed at none, 4 not yet, 5 unbilled.
_PLACED = """
    WITH first_billed AS (
        SELECT s.running_total_id, max(s.last_position) AS last_position
        FROM bill_run_event_index s
        JOIN invoice_lines l ON l.id = s.line_id AND l.period_start_at IS NULL
        JOIN invoices i ON i.id = l.invoice_id AND i.status <> 'VOID'
        WHERE s.tenant_id = %(tenant)s AND s.first_position = 1
        GROUP BY s.running_total_id
    ), placed AS (
        SELECT min(CASE
            WHEN e.running_total_id IS NULL THEN 5
            WHEN e."position" > coalesce(t.billed_position, 0) THEN 4
            WHEN e."position" > coalesce(f.last_position, t.billed_position) THEN 2
            WHEN e.revenue <> 0 THEN 1
            ELSE 3 END) AS place
        FROM usage_events e
        LEFT JOIN running_totals t ON t.id = e.running_total_id
        LEFT JOIN first_billed f ON f.running_total_id = e.running_total_id
        WHERE e.tenant_id = %(tenant)s AND e.received_at > %(start)s AND e.received_at <= %(end)s
          AND e.occurred_at <= %(end)s + interval '10 minutes'
          AND e.source NOT IN ('VOID', 'AMEND') AND NOT EXISTS (
            SELECT FROM held_events h
            WHERE h.tenant_id = %(tenant)s AND h.status IN ('WAITING', 'WAIVED')
              AND h.batch_id = e.batch_id AND h.batch_index = e.batch_index)
        GROUP BY e.batch_id, e.batch_index)
"""
# What is sent again came in once: it leaves the dead letters for wherever it ends.
_SQL = f"""
    , receipt AS (
        SELECT source, event_count, duplicates, dead FROM receipts WHERE {_WINDOW}
        UNION ALL
        SELECT source, event_count, duplicates, dead FROM receipt_days WHERE {_DAYS}
    ), inbox AS (SELECT source, event_count FROM inbox_batches WHERE {_WINDOW})
    SELECT
        (SELECT coalesce(sum(event_count), 0) FROM receipt WHERE source <> 'REPLAY')
          + (SELECT coalesce(sum(event_count), 0) FROM inbox WHERE source <> 'REPLAY'),
        (SELECT count(*) FROM placed WHERE place = 1),
        (SELECT count(*) FROM placed WHERE place = 3),
        (SELECT count(*) FROM placed WHERE place = 2),
        (SELECT count(*) FROM placed WHERE place = 4),
        (SELECT count(*) FROM placed WHERE place = 5),
        (SELECT coalesce(sum(duplicates), 0) FROM receipt),
        (SELECT coalesce(sum(dead), 0) FROM receipt)
          - (SELECT coalesce(sum(event_count), 0) FROM receipt WHERE source = 'REPLAY')
          - (SELECT coalesce(sum(event_count), 0) FROM inbox WHERE source = 'REPLAY'),
        (SELECT count(DISTINCT (batch_id, batch_index)) FROM held_events
          WHERE {_WINDOW} AND status = 'WAITING'),
        (SELECT count(DISTINCT (batch_id, batch_index)) FROM held_events
          WHERE {_WINDOW} AND status = 'WAIVED'),
        (SELECT coalesce(sum(event_count), 0) FROM inbox)
"""  # noqa: S608 - our own text


class Invoiced(NamedTuple):
    """What the run made, in one currency and state."""

    currency: str
    status: str
    invoices: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Where the events of a window are: billed at a price, free of charge, late, open and so on."""

    received: int
    billed: int
    free: int
    late: int
    open: int
    unbilled: int
    duplicates: int
    dead: int
    held: int
    waived: int
    waiting: int

    @property
    def places(self) -> Iterator[tuple[str, int]]:
        """Where events are, and how many; all but what was received."""
        for field in fields(self):
            if field.name != "received":
                yield field.name, getattr(self, field.name)

    @property
    def difference(self) -> int:
        """Events that were received and are nowhere; below zero, that are and were not."""
        return self.received - sum(count for _, count in self.places)

    @property
    def balances(self) -> bool:
        return not self.difference


def reconciliation_of(run: BillRun) -> Reconciliation:
    """As of one moment: one statement, one snapshot. It reads the window's events once."""
    window: dict[str, Any] = {
        "tenant": run.tenant_id,
        "start": run.window_start,
        "end": run.window_end,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PLACED + _SQL, window)
        return Reconciliation(*map(int, cursor.fetchone()))


def invoiced_by(run: BillRun) -> Sequence[Invoiced]:
    """The run's invoices by currency and state; parts are within the one that they are parts of."""
    rows = Invoice.objects.for_tenant(run.tenant_id).filter(bill_run=run, part_of=None)
    sums = rows.order_by().values_list("currency", "status")
    counted = sums.annotate(count=Count("pk"), sum=Sum("total"))
    return [Invoiced(*row) for row in counted.order_by("currency", "status")]
