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
from webhooks.outbound.shares import Shares

PAGE = 1_000  # messages in one transaction
ROWS = 5_000  # deliveries made in it: half a second
Endpoints = defaultdict[UUID, list[WebhookEndpoint]]  # by tenant


@transaction.atomic
def carry_page(*, now: datetime) -> int:
    """Make deliveries of messages that were not carried yet, in order of their ids; how many.

    The deliveries and the mark on the message are one transaction, so that a kill in between
    leaves the message as it was. Where rules of a tenant have had their share, what others have
    behind its messages comes before the rest of them.
    """
    carried, rows, shares, last = 0, 0, Shares(), None
    while messages := _waiting(last, shares):
        endpoints = _endpoints({message.tenant_id for message in messages})
        fitting = messages[: _as_many_as_fit(messages, endpoints)]
        looked_at = fire_alerts(fitting, shares).messages
        rows += _carry(looked_at, endpoints, now)
        carried += len(looked_at)
        if len(looked_at) == len(fitting) or rows >= ROWS or carried >= PAGE:
            break
        last = fitting[-1].pk
    return carried


def _waiting(last: UUID | None, shares: Shares) -> list[OutboxMessage]:
    """The first that wait, or those behind the last; of nobody whose share is used up."""
    waiting = OutboxMessage.objects.filter(carried_at=None)  # any tenant: each to its own
    if last is not None:
        waiting = waiting.filter(pk__gt=last).exclude(tenant__in=shares.over)
    locked = waiting.order_by("pk").select_for_update(skip_locked=True, of=("self",))
    return list(locked[:PAGE])


def _carry(messages: Sequence[OutboxMessage], endpoints: Endpoints, now: datetime) -> int:
    """How many deliveries that makes."""
    write_letters(messages, now=now)
    write_to_account_managers(messages, now=now)
    made = list(_deliveries(messages, endpoints, now))
    OutboundDelivery.objects.bulk_create(made, ignore_conflicts=True)
    carried = OutboxMessage.objects.filter(pk__in=[one.pk for one in messages])  # any tenant
    carried.update(carried_at=now)
    return len(made)


def _as_many_as_fit(messages: Sequence[OutboxMessage], endpoints: Endpoints) -> int:
    """How many messages make `ROWS` deliveries; one at least."""
    rows = 0
    for number, message in enumerate(messages):
        rows += sum(takes(endpoint, message) for endpoint in endpoints[message.tenant_id])
        if rows > ROWS:
            return number or 1
    return len(messages)


def _deliveries(
    messages: Sequence[OutboxMessage], endpoints: Endpoints, now: datetime
) -> Iterator[OutboundDelivery]:
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


def _endpoints(tenant_ids: Iterable[UUID]) -> Endpoints:
    found: Endpoints = defaultdict(list)
    rows = WebhookEndpoint.objects.filter(is_active=True, tenant__in=tenant_ids)  # any tenant
    for endpoint in rows.order_by("pk"):
        found[endpoint.tenant_id].append(endpoint)
    return found
