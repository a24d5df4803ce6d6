"""From messages to deliveries: one for each endpoint that wants to know, exactly once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.outbox.models import OutboxMessage
from webhooks.models import OutboundDelivery, WebhookEndpoint
from webhooks.outbound.account_letters import write_to_account_managers
from webhooks.outbound.alerts import fire_alerts
from webhooks.outbound.customer_mail import write_letters
from webhooks.outbound.routing import takes

PAGE = 1_000  # messages in one transaction


@transaction.atomic
def carry_page(*, now: datetime) -> int:
    """Make deliveries of messages that were not carried yet, in order of their ids; how many.

    The deliveries and the mark on the message are one transaction, so that a kill in between
    leaves the message as it was.
    """
    waiting = OutboxMessage.objects.filter(carried_at=None)  # any tenant: each to its own
    locked = waiting.order_by("pk").select_for_update(skip_locked=True, of=("self",))
    messages = list(locked[:PAGE])
    if not messages:
        return 0
    messages = messages[: fire_alerts(messages).looked_at]
    write_letters(messages, now=now)
    write_to_account_managers(messages, now=now)
    OutboundDelivery.objects.bulk_create(_deliveries(messages, now), ignore_conflicts=True)
    carried = OutboxMessage.objects.filter(pk__in=[one.pk for one in messages])  # any tenant
    carried.update(carried_at=now)
    return len(messages)


def _deliveries(messages: Sequence[OutboxMessage], now: datetime) -> Iterator[OutboundDelivery]:
    endpoints = _endpoints({message.tenant_id for message in messages})
    for message in messages:
        for endpoint in endpoints[message.tenant_id]:
            if takes(endpoint, message):
                yield delivery_of(message, endpoint, now)


def delivery_of(
    message: OutboxMessage, endpoint: WebhookEndpoint, now: datetime
) -> OutboundDelivery:
    """A delivery that is due at once; not stored yet."""
    return OutboundDelivery(
        tenant_id=message.tenant_id,
        message=message,
        endpoint=endpoint,
        fact=message.fact,
        subject=message.subject,
        next_attempt_at=now,
        created_at=now,
    )


def _endpoints(tenant_ids: Iterable[UUID]) -> defaultdict[UUID, list[WebhookEndpoint]]:
    found: defaultdict[UUID, list[WebhookEndpoint]] = defaultdict(list)
    rows = WebhookEndpoint.objects.filter(is_active=True, tenant__in=tenant_ids)  # any tenant
    for endpoint in rows.order_by("pk"):
        found[endpoint.tenant_id].append(endpoint)
    return found
