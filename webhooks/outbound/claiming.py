"""Which delivery is sent next: at most one at a time to an endpoint, in order for a subject."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from aforo.ids import new_id
from aforo.outbox.models import OutboxMessage
from aforo.sealing import Unsealable
from webhooks.models import OutboundDelivery, WebhookEndpoint
from webhooks.outbound.endpoint_secrets import valid_secrets
from webhooks.outbound.wording import message_id_of, slack_body, standard_body

SECONDS = 10  # for one attempt, from looking up the name to the end of the answer
LEASE = timedelta(seconds=SECONDS + 5)  # a claim of a killed worker is void after that

# An endpoint that waited longest comes first. `FOR UPDATE ... SKIP LOCKED` keeps two carriers from
# claiming the same one; of the deliveries about one subject only the first may go. An endpoint
# all of whose due deliveries wait for their subjects takes nobody's place.
_CLAIM = """
    WITH heads AS (
        SELECT e.id AS endpoint_id, head.id AS delivery_id
        FROM webhook_endpoints e CROSS JOIN LATERAL (
            SELECT d.id FROM outbound_deliveries d
            WHERE d.endpoint_id = e.id AND d.state = 'PENDING' AND d.next_attempt_at <= %(now)s
              AND (d.subject = '' OR NOT EXISTS (
                  SELECT FROM outbound_deliveries earlier
                  WHERE earlier.endpoint_id = d.endpoint_id AND earlier.subject = d.subject
                    AND earlier.state = 'PENDING' AND earlier.message_id < d.message_id))
            ORDER BY d.next_attempt_at, d.message_id LIMIT 1) AS head
        WHERE e.is_active
          AND (e.claim_id IS NULL OR e.claimed_until < %(now)s)
          AND (e.resting_until IS NULL OR e.resting_until <= %(now)s)
          AND (e.failures = 0 OR NOT %(only_healthy)s)
        ORDER BY e.claimed_until NULLS FIRST, e.id
        LIMIT %(limit)s FOR UPDATE OF e SKIP LOCKED
    )
    UPDATE webhook_endpoints e SET claim_id = %(claim)s, claimed_until = %(until)s
    FROM heads WHERE e.id = heads.endpoint_id
    RETURNING heads.delivery_id
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that nobody else sends, and all that sending it needs."""

    claim_id: UUID
    delivery_id: UUID
    endpoint_id: UUID
    tenant_id: UUID
    number: int
    retry_step: int
    url: str
    format: str
    message: OutboxMessage
    body: bytes
    secrets: tuple[str, ...]

    @property
    def message_id(self) -> str:
        return message_id_of(self.message.pk)


@transaction.atomic
def claim(*, limit: int, now: datetime, only_healthy: bool = False) -> list[Claim]:
    """Claim the next delivery of up to `limit` endpoints that nothing is being sent to.

    `only_healthy`: of those that took what they were sent last.
    """
    claim_id = new_id()
    values: dict[str, Any] = {
        "now": now,
        "limit": limit,
        "claim": claim_id,
        "until": now + LEASE,
        "only_healthy": only_healthy,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        ids = [delivery_id for (delivery_id,) in cursor.fetchall()]
    if not ids:
        return []
    rows = OutboundDelivery.objects.select_related("message", "endpoint")  # any tenant
    return [_claimed(row, claim_id, now) for row in rows.filter(pk__in=ids).order_by("pk")]


def _claimed(delivery: OutboundDelivery, claim_id: UUID, now: datetime) -> Claim:
    endpoint, message = delivery.endpoint, delivery.message
    return Claim(
        claim_id=claim_id,
        delivery_id=delivery.pk,
        endpoint_id=endpoint.pk,
        tenant_id=delivery.tenant_id,
        number=delivery.attempt_count + 1,
        retry_step=delivery.retry_step,
        url=endpoint.url,
        format=endpoint.format,
        message=message,
        body=_body(endpoint, message),
        secrets=_secrets(endpoint, now),
    )


def _secrets(endpoint: WebhookEndpoint, now: datetime) -> tuple[str, ...]:
    """None when they cannot be opened: this endpoint's attempt fails, and nobody else's."""
    try:
        return tuple(valid_secrets(endpoint, now=now))
    except Unsealable:
        return ()


def _body(endpoint: WebhookEndpoint, message: OutboxMessage) -> bytes:
    is_slack = endpoint.format == WebhookEndpoint.Format.SLACK
    return slack_body(message) if is_slack else standard_body(message)
