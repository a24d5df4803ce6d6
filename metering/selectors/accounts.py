"""The account of a tenant's events: every one that was received is in exactly one place.

received = counted + unbilled + duplicates + dead + held + waived + waiting, in events as they
came. What was received is the sum of what the doors wrote down; the rest is counted where it lies.
A replay brings nothing new: its events leave the dead letters for wherever they end. Months that
were archived and receipts that were summed into days are counted by what was noted of them.
"""

from dataclasses import dataclass, fields
from uuid import UUID

from django.db import connection

_SQL = """
    SELECT
        (SELECT coalesce(sum(event_count), 0) FROM receipts
          WHERE tenant_id = %(tenant)s AND source <> 'REPLAY')
          + (SELECT coalesce(sum(event_count), 0) FROM receipt_days
              WHERE tenant_id = %(tenant)s AND source <> 'REPLAY')
          + (SELECT coalesce(sum(event_count), 0) FROM inbox_batches
              WHERE tenant_id = %(tenant)s AND source <> 'REPLAY'),
        (SELECT count(*) FROM placed WHERE is_counted)
          + (SELECT coalesce(sum(counted), 0) FROM archived_counts WHERE tenant_id = %(tenant)s),
        (SELECT count(*) FROM placed WHERE NOT is_counted)
          + (SELECT coalesce(sum(unbilled), 0) FROM archived_counts WHERE tenant_id = %(tenant)s),
        (SELECT coalesce(sum(duplicates), 0) FROM receipts WHERE tenant_id = %(tenant)s)
          + (SELECT coalesce(sum(duplicates), 0) FROM receipt_days WHERE tenant_id = %(tenant)s),
        (SELECT coalesce(sum(occurrences), 0) FROM dead_letters
          WHERE tenant_id = %(tenant)s AND status <> 'REPLAYED'),
        (SELECT count(DISTINCT (batch_id, batch_index)) FROM held_events
          WHERE tenant_id = %(tenant)s AND status = 'WAITING'),
        (SELECT count(DISTINCT (batch_id, batch_index)) FROM held_events
          WHERE tenant_id = %(tenant)s AND status = 'WAIVED'),
        (SELECT coalesce(sum(event_count), 0) FROM inbox_batches WHERE tenant_id = %(tenant)s)
"""
# An event that two units count is two rows and one event; held anywhere, it is held. Rows of
# corrections were never received: what became of the event that came is told by its own rows.
_PLACED = """
    WITH placed AS (
        SELECT bool_or(running_total_id IS NOT NULL) AS is_counted
        FROM usage_events e
        WHERE tenant_id = %(tenant)s AND source NOT IN ('VOID', 'AMEND') AND NOT EXISTS (
            SELECT FROM held_events h
            WHERE h.tenant_id = %(tenant)s AND h.status IN ('WAITING', 'WAIVED')
              AND h.batch_id = e.batch_id AND h.batch_index = e.batch_index)
        GROUP BY batch_id, batch_index)
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the events of one tenant are."""

    received: int
    counted: int
    unbilled: int
    duplicates: int
    dead: int
    held: int
    waived: int
    waiting: int

    @property
    def placed(self) -> int:
        """All that is accounted for."""
        return sum(getattr(self, one.name) for one in fields(self) if one.name != "received")

    @property
    def balances(self) -> bool:
        return self.received == self.placed


def account_of(tenant_id: UUID) -> Account:
    """The account of one tenant as of one moment: one statement, one snapshot."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACED + _SQL, {"tenant": tenant_id})
        return Account(*map(int, cursor.fetchone()))
