"""A push, what became of it, and the row that keeps both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import lz4.frame

from aforo.ids import new_id
from metering.ingest import normalising
from metering.ingest.events import Refusal
from webhooks.models import WebhookDelivery, WebhookSource

Verdict = WebhookDelivery.Verdict


@dataclass(frozen=True, slots=True)
class Push:
    """One HTTP request to a source. `headers` finds names however they are spelled."""

    body: bytes
    headers: Mapping[str, str]
    address: str | None
    now: datetime


@dataclass(slots=True)
class Taken:
    """What became of a push; refused events of it are dead letters."""

    delivery_id: UUID = field(default_factory=new_id)
    batch_id: UUID | None = None
    event_count: int = 0
    duplicates: int = 0
    refused: dict[int, Refusal] = field(default_factory=dict)
    first_key: str = ""

    @property
    def accepted(self) -> int:
        return self.event_count - self.duplicates - len(self.refused)


def keep(
    source: WebhookSource,
    push: Push,
    verdict: WebhookDelivery.Verdict,
    taken: Taken,
    *,
    detail: str = "",
    limit: int | None = None,
) -> None:
    """Keep a push as it came, but for credentials; at most `limit` bytes of its body."""
    payload = normalising.kept(push.body[:limit])
    first = min(taken.refused, default=None)
    WebhookDelivery.objects.create(
        id=taken.delivery_id,
        tenant_id=source.tenant_id,
        source=source,
        verdict=verdict,
        detail=detail or ("" if first is None else taken.refused[first].detail),
        arrived_at=push.now,
        address=push.address,
        event_key=taken.first_key,
        event_count=taken.event_count,
        batch_id=taken.batch_id,
        size=len(push.body),
        payload=lz4.frame.compress(payload),
    )
