"""Publishing: a row in the caller's transaction, so that a fact and its message are one."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from aforo.outbox import waking
from aforo.outbox.models import OutboxMessage


def publish(
    *,
    tenant_id: UUID,
    fact: str,
    payload: Mapping[str, object],
    now: datetime,
    subject: UUID | str = "",
) -> OutboxMessage:
    """Say `fact` to whoever will listen; nothing is said when the transaction rolls back.

    `aforo/outbox/facts` has what each fact promises; facts about one `subject` arrive in order.
    """
    _check(fact, payload)
    message = OutboxMessage.objects.create(
        tenant_id=tenant_id, fact=fact, payload=dict(payload), subject=str(subject), created_at=now
    )
    waking.after_commit()
    return message


def publish_many(
    *,
    tenant_id: UUID,
    fact: str,
    payloads: Mapping[UUID, Mapping[str, object]],
    now: datetime,
) -> None:
    """Say `fact` about each subject with its payload, in one statement."""
    if not payloads:
        return
    for payload in payloads.values():
        _check(fact, payload)
    OutboxMessage.objects.bulk_create(
        OutboxMessage(
            tenant_id=tenant_id,
            fact=fact,
            payload=dict(payload),
            subject=str(subject),
            created_at=now,
        )
        for subject, payload in payloads.items()
    )
    waking.after_commit()


def _check(fact: str, payload: Mapping[str, object]) -> None:
    if settings.FACT_CHECKER:
        import_string(settings.FACT_CHECKER)(fact, payload)
