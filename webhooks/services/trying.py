"""Mapping a push that may break its mapping down, or kill the worker: so often, and then parked."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, QuerySet

from webhooks.models import WebhookDelivery
from webhooks.services import counting
from webhooks.services.pushes import Verdict, brief

MOST_TRIES = 8  # each after twice as long as the one before: over an hour
_KILLED = "its worker was killed each time"
_HEAL = (OperationalError, InterfaceError)  # the database is away, or somebody else was first

_COUNT = """
    UPDATE webhook_deliveries SET tries = tries + 1
    WHERE id IN (
        SELECT id FROM webhook_deliveries WHERE id = %s AND verdict = 'RECEIVED'
        FOR UPDATE SKIP LOCKED
    )
    RETURNING tries
"""


def map_or_park(*, delivery_id: UUID, now: datetime, again: bool) -> Verdict | None:
    """Map a push that waits; when it was asked for `again`, so often at most.

    A try counts before it begins: one that kills its worker counts as well. After `MOST_TRIES` the
    push is parked with the last reason. What breaks down is raised, so that it is seen.
    """
    if again:
        tries = _counted(delivery_id)
        if tries is None:
            return None
        if tries > MOST_TRIES:
            return _park(delivery_id, now)
    try:
        return counting.map_delivery(delivery_id=delivery_id, now=now)
    except _HEAL:
        with suppress(*_HEAL):
            _waiting(delivery_id).filter(tries__gt=0).update(tries=F("tries") - int(again))
        raise
    except Exception as error:
        _waiting(delivery_id).update(detail=brief(f"{type(error).__name__}: {error}"))
        raise


def _counted(delivery_id: UUID) -> int | None:
    """Which try this is; None when the push waits no longer, or somebody else has it in hand."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, (delivery_id,))
        row = cursor.fetchone()
    return row and int(row[0])


@transaction.atomic
def _park(delivery_id: UUID, now: datetime) -> Verdict | None:
    waiting = _waiting(delivery_id).select_for_update(skip_locked=True).defer("payload").first()
    if waiting is None:
        return None
    reason = waiting.detail or _KILLED
    waiting.detail = brief(f"given up after {MOST_TRIES} tries: {reason}")
    waiting.verdict, waiting.mapped_at = Verdict.UNMAPPED, now
    waiting.save(update_fields=["verdict", "detail", "mapped_at"])
    return Verdict.UNMAPPED


def _waiting(delivery_id: UUID) -> QuerySet[WebhookDelivery]:
    deliveries = WebhookDelivery.objects.filter(pk=delivery_id)  # any tenant: our own id
    return deliveries.filter(verdict=Verdict.RECEIVED)
