"""An event inside the drain: which batch it came in, its key, its time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from uuid import UUID

import msgspec

from aforo.money import plain
from metering.ingest import events
from metering.ingest.events import Event, Refusal
from metering.ingest.inbox import Batch

_encode = msgspec.json.Encoder().encode


class Fate(IntEnum):
    """What becomes of an event that several units may count: the highest of them."""

    UNBILLED = 0
    COUNTED = 1
    HELD = 2


class Arrival(msgspec.Struct, gc=False, eq=False):
    """One event of one batch, with what several steps ask of it worked out once.

    `k` and `body` are the hashes that the ledger of keys holds, `occurred` is aware UTC.
    """

    batch: Batch
    index: int
    event: Event
    key: str
    k: bytes
    body: bytes
    occurred: datetime
    occurred_text: str
    quantity_text: str
    metadata: str | None
    fate: Fate = Fate.UNBILLED


class Dead(msgspec.Struct, gc=False, eq=False):
    """An event that will not be counted, and why."""

    batch: Batch
    index: int
    why: Refusal


def hash_of(tenant_id: UUID, key: str) -> str:
    """What the ledger of keys holds for a tenant's idempotency key, in hex."""
    return _hash(tenant_id.bytes + key.encode()).hex()


def _hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def isoformat(moment: datetime) -> str:
    """`moment.isoformat()` of a moment in UTC: 0.2 us instead of 0.8."""
    return _encode(moment)[1:-2].decode() + "+00:00"


def of_batch(batch: Batch) -> Iterator[Arrival | Dead]:
    """The events of one batch in order; what the door refused is dead."""
    found = decoded(batch)
    return of_events(batch, found, range(len(found)))


def of_events(
    batch: Batch, found: Sequence[Event | Refusal], indices: Iterable[int]
) -> Iterator[Arrival | Dead]:
    """Some of the decoded events of a batch."""
    tenant = batch.tenant_id.bytes
    for index in indices:
        event = found[index]
        if isinstance(event, Refusal):
            yield Dead(batch, index, event)
        else:
            yield _arrival(batch, tenant, index, event)


def arrival_of(batch: Batch, index: int, event: Event) -> Arrival:
    """One decoded event of a batch, wherever it was kept since."""
    return _arrival(batch, batch.tenant_id.bytes, index, event)


def _arrival(batch: Batch, tenant: bytes, index: int, event: Event) -> Arrival:
    # A key is never made twice for one event: it follows from the batch, whoever drains it.
    key = event.idempotencyKey or events.made_key(batch.batch_id, index)
    occurred = event.occurred(batch.received_at)
    occurred_text = isoformat(occurred)
    quantity_text = plain(event.quantity)
    metadata = event.metadata_text()
    given = "" if event.occurredAt is None else occurred_text
    # No part holds a nul: the door refused those, so two different bodies never look alike.
    body = f"{event.customerId}\0{event.metricName}\0{quantity_text}\0{given}\0{metadata or ''}"
    return Arrival(
        batch,
        index,
        event,
        key,
        _hash(tenant + key.encode()),
        _hash(body.encode()),
        occurred,
        occurred_text,
        quantity_text,
        metadata,
    )


def decoded(batch: Batch) -> list[Event | Refusal]:
    """The door's decisions, with the events it let pass decoded again."""
    if not batch.refused:
        whole = events.decode_all(batch.array)
        if whole is not None:
            return whole
    raws = events.split(batch.array)
    return [batch.refused.get(index) or events.decode_one(raw) for index, raw in enumerate(raws)]
