"""A push as it came, and the row that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import lz4.frame

from aforo.ids import new_id
from aforo.tenancy import clock
from metering.ingest import normalising
from webhooks.inbound.mapping import Headers
from webhooks.models import WebhookDelivery, WebhookSource

Verdict = WebhookDelivery.Verdict


@dataclass(frozen=True, slots=True)
class Push:
    """One HTTP request to a source. `headers` finds names however they are spelled."""

    body: bytes
    headers: Mapping[str, str]
    address: str | None
    now: datetime
    query: str = ""  # of the address that was called, without its question mark


def kept(document: bytes) -> bytes:
    """A payload as it is kept: whole, but for its credentials."""
    return normalising.kept(document)


def payload_of(delivery: WebhookDelivery) -> bytes:
    """What was pushed, as it is kept; nothing once it is forgotten."""
    return b"" if delivery.forgotten_at else lz4.frame.decompress(bytes(delivery.payload))


def keep(
    source: WebhookSource,
    push: Push,
    verdict: WebhookDelivery.Verdict,
    payload: bytes,
    *,
    said: Headers | None = None,
    detail: str = "",
) -> UUID:
    """Keep a push with its payload; the id of its row."""
    said = said or Headers()
    delivery_id = new_id()
    WebhookDelivery.objects.create(
        id=delivery_id,
        tenant_id=source.tenant_id,
        source=source,
        verdict=verdict,
        detail=detail,
        arrived_at=push.now,
        received_at=clock.at(source.tenant, push.now),
        address=push.address,
        event_type=said.event_type[:400],
        provider_key=said.event_id[:400],
        size=len(push.body),
        payload=lz4.frame.compress(payload),
    )
    return delivery_id
