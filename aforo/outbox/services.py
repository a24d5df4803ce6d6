"""Publishing: a row in the caller's transaction, so that a fact and its message are one."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from aforo.outbox.models import OutboxMessage


def publish(
    *,
    tenant_id: UUID,
    fact: str,
    payload: Mapping[str, object],
    now: datetime,
    subject: UUID | str = "",
) -> OutboxMessage:
    """Say `fact` to whoever will listen; nothing is said when the transaction rolls back."""
    return OutboxMessage.objects.create(
        tenant_id=tenant_id, fact=fact, payload=dict(payload), subject=str(subject), created_at=now
    )


def publish_many(
    *,
    tenant_id: UUID,
    fact: str,
    payloads: Mapping[UUID, Mapping[str, object]],
    now: datetime,
) -> None:
    """Say `fact` about each subject with its payload, in one statement."""
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
