"""How long what was told is kept: deliveries with their attempts, and messages behind them."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

PAGE = 5_000  # rows in one transaction

_ATTEMPTS = "DELETE FROM delivery_attempts WHERE delivery_id = ANY(%s)"
_DELIVERIES = "DELETE FROM outbound_deliveries WHERE id = ANY(%s)"
_OLD_DELIVERIES = """
    SELECT id FROM outbound_deliveries
    WHERE finished_at < %s AND state <> 'PENDING' LIMIT %s FOR UPDATE SKIP LOCKED
"""
# What waits for an endpoint that was removed is never sent; of one switched off it may be yet.
_NEVER_SENT = """
    SELECT d.id FROM webhook_endpoints e JOIN outbound_deliveries d ON d.endpoint_id = e.id
    WHERE e.archived_at IS NOT NULL AND d.state = 'PENDING' AND d.next_attempt_at < %s
    LIMIT %s FOR UPDATE OF d SKIP LOCKED
"""
# Ids rise with everybody's time, which the clock of a sandbox does not.
_OLD_MESSAGES = """
    SELECT m.id FROM outbox_messages m
    WHERE m.carried_at < %s
      AND NOT EXISTS (SELECT FROM outbound_deliveries d WHERE d.message_id = m.id)
    LIMIT %s FOR UPDATE SKIP LOCKED
"""
_FIRINGS = "UPDATE alert_firings SET message_id = NULL WHERE message_id = ANY(%s)"
_MESSAGES = "DELETE FROM outbox_messages WHERE id = ANY(%s)"


def forget_deliveries(*, now: datetime) -> int:
    """Delete what finished longer ago than `KEEP_DELIVERIES_DAYS`; how many rows that were."""
    if not settings.KEEP_DELIVERIES_DAYS:
        return 0
    before = now - timedelta(days=settings.KEEP_DELIVERIES_DAYS)
    gone = 0
    while page := _forget_page(before):
        gone += page
    return gone


@transaction.atomic
def _forget_page(before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_OLD_DELIVERIES, (before, PAGE))
        deliveries = [delivery_id for (delivery_id,) in cursor.fetchall()]
        cursor.execute(_NEVER_SENT, (before, PAGE))
        deliveries += [delivery_id for (delivery_id,) in cursor.fetchall()]
        cursor.execute(_ATTEMPTS, (deliveries,))
        cursor.execute(_DELIVERIES, (deliveries,))
        cursor.execute(_OLD_MESSAGES, (before, PAGE))
        messages = [message_id for (message_id,) in cursor.fetchall()]
        cursor.execute(_FIRINGS, (messages,))
        cursor.execute(_MESSAGES, (messages,))
        return len(deliveries) + len(messages)
