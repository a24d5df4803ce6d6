"""How long pushes are kept: their payloads, and those of which no event ever was."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

PAGE = 1_000  # rows in one transaction: payloads are large

# What waits is never forgotten. Of what gave events the row stays: it says where they came from.
_OLD = """
    SELECT id, event_count FROM webhook_deliveries
    WHERE forgotten_at IS NULL AND arrived_at < %s AND verdict <> 'RECEIVED'
    ORDER BY arrived_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_DELETE = "DELETE FROM webhook_deliveries WHERE id = ANY(%s)"
# A detail may quote the payload.
_FORGET = """
    UPDATE webhook_deliveries SET payload = '', detail = '', forgotten_at = %s WHERE id = ANY(%s)
"""


def forget_pushes(*, now: datetime) -> int:
    """Forget payloads older than `KEEP_PUSHES_DAYS`; how many. `now` is on everybody's clock."""
    if not settings.KEEP_PUSHES_DAYS:
        return 0
    before, forgotten = now - timedelta(days=settings.KEEP_PUSHES_DAYS), 0
    while page := _forget_page(before, now):
        forgotten += page
    return forgotten


@transaction.atomic
def _forget_page(before: datetime, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_OLD, (before, PAGE))
        rows = cursor.fetchall()
        cursor.execute(_DELETE, ([row_id for row_id, events in rows if not events],))
        cursor.execute(_FORGET, (now, [row_id for row_id, events in rows if events]))
    return len(rows)
