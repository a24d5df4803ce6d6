"""Finding pushes that wait longer than they should: their message was lost, or a worker killed.

What was tried before is asked for ever more rarely, so that a push that breaks its mapping down
again and again holds up nobody else's.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction

from aforo.queue import enqueue
from webhooks.services.deliveries import MAPPING

PATIENCE = timedelta(seconds=5)  # a worker that lives has mapped it by then
FIRST_WAIT = 15  # seconds between two questions; doubled with each try that broke down
AT_ONCE = 500

_DUE = """
    UPDATE webhook_deliveries d SET due_at = %s + make_interval(secs => %s * 2 ^ d.tries)
    WHERE d.id IN (
        SELECT w.id FROM webhook_deliveries w
        WHERE w.verdict = 'RECEIVED' AND w.arrived_at < %s AND (w.due_at IS NULL OR w.due_at <= %s)
        ORDER BY w.tries, w.id LIMIT %s FOR UPDATE SKIP LOCKED
    )
    RETURNING d.id
"""


@transaction.atomic
def ask_again(*, now: datetime) -> int:
    """Ask for the mapping of what waits and is due, the least tried first; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, (now, FIRST_WAIT, now - PATIENCE, now, AT_ONCE))
        ids = sorted(delivery_id for (delivery_id,) in cursor.fetchall())
    for delivery_id in ids:
        enqueue(MAPPING, delivery_id=str(delivery_id), again=True)
    return len(ids)
