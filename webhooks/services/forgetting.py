"""How long pushes are kept: their payloads, and those of which no event ever was."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

PAGE = 1_000  # rows in one transaction: payloads are large
UNSIGNED_STAYS = timedelta(days=7)  # anybody may send it: so long helps its sender, and no longer

# What waits is never forgotten. Of what gave events the row stays: it says where they came from.
_OLD = """
    SELECT id, event_count FROM webhook_deliveries
    WHERE forgotten_at IS NULL AND arrived_at < %s AND verdict <> 'RECEIVED'
    ORDER BY arrived_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_UNSIGNED = """
    DELETE FROM webhook_deliveries WHERE id IN (
        SELECT id FROM webhook_deliveries
        WHERE verdict IN ('BAD_SIGNATURE', 'STALE') AND arrived_at < %s
        ORDER BY arrived_at LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""
_DELETE = "DELETE FROM webhook_deliveries WHERE id = ANY(%s)"
# A detail may quote the payload.
_FORGET = """
    UPDATE webhook_deliveries SET payload = '', detail = '', forgotten_at = %s WHERE id = ANY(%s)
"""


def forget_pushes(*, now: datetime) -> int:
    """Forget payloads older than `KEEP_PUSHES_DAYS`, and after a week what nobody signed.

    Returns how many pushes those were. `now` is on everybody's clock.
    """
    forgotten = 0
    while page := _delete_unsigned(now - UNSIGNED_STAYS):
        forgotten += page
    if not settings.KEEP_PUSHES_DAYS:
        return forgotten
    before = now - timedelta(days=settings.KEEP_PUSHES_DAYS)
    while page := _forget_page(before, now):
        forgotten += page
    return forgotten


def _delete_unsigned(before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_UNSIGNED, (before, PAGE))
        return int(cursor.rowcount)


@transaction.atomic
def _forget_page(before: datetime, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_OLD, (before, PAGE))
        rows = cursor.fetchall()
        cursor.execute(_DELETE, ([row_id for row_id, events in rows if not events],))
        cursor.execute(_FORGET, (now, [row_id for row_id, events in rows if events]))
    return len(rows)
