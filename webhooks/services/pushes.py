"""A push as it came, and the row that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import lz4.frame

from aforo.ids import new_id
from metering.ingest import normalising
from metering.ingest.connection import hot_cursor
from webhooks.inbound.mapping import Headers
from webhooks.models import WebhookDelivery
from webhooks.services.known import VERSION_SQL, KnownSource

Verdict = WebhookDelivery.Verdict
UNSIGNED = (Verdict.BAD_SIGNATURE, Verdict.STALE)

_MOST_DETAIL = 500  # characters: it stands in lists, and in facts that are told

_KEEP = f"""
    INSERT INTO webhook_deliveries (id, tenant_id, source_id, verdict, detail, arrived_at,
        received_at, address, event_type, provider_key, event_key, event_count, size, payload)
    SELECT %s, s.tenant_id, s.id, %s, %s, %s::timestamptz,
        coalesce(t.clock_frozen_at, %s::timestamptz + t.clock_offset), %s::inet, %s, %s, '', 0,
        %s, %s
    FROM webhook_sources s JOIN tenants t ON t.id = s.tenant_id
    WHERE s.id = %s AND {VERSION_SQL} = %s
"""  # noqa: S608 - our own constant


@dataclass(frozen=True, slots=True)
class Push:
    """One HTTP request to a source. `headers` finds names however they are spelled."""

    body: bytes
    headers: Mapping[str, str]
    address: str | None
    now: datetime
    query: str = ""  # of the address that was called, without its question mark


def brief(detail: str) -> str:
    """Why a push is not what it should be, without all of what it says itself."""
    return detail[:_MOST_DETAIL]


def kept(document: bytes) -> bytes:
    """A payload as it is kept: whole, but for its credentials."""
    return normalising.kept(document)


def payload_of(delivery: WebhookDelivery) -> bytes:
    """What was pushed, as it is kept; nothing once it is forgotten."""
    return b"" if delivery.forgotten_at else lz4.frame.decompress(bytes(delivery.payload))


def keep(
    source: KnownSource,
    push: Push,
    verdict: WebhookDelivery.Verdict,
    payload: bytes,
    *,
    said: Headers | None = None,
    detail: str = "",
) -> UUID | None:
    """Keep a push with its payload, by one statement that is on disk when it returns.

    The id of its row; None when the source is not as it was read any more, and nothing is kept.
    """
    said = said or Headers()
    delivery_id = new_id()
    with hot_cursor() as cursor:
        cursor.execute(
            _KEEP,
            (
                delivery_id,
                verdict.value,
                brief(detail),
                push.now,
                push.now,
                push.address,
                said.event_type[:400],
                said.event_id[:400],
                len(push.body),
                lz4.frame.compress(payload),
                source.row.pk,
                source.version,
            ),
        )
        return delivery_id if cursor.rowcount else None
