"""An event inside the drain: which batch it came in, its key, its time."""

from collections.abc import Iterator
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b

import msgspec

from metering.ingest import events
from metering.ingest.events import Event, Refusal
from metering.ingest.inbox import Batch


class Fate(IntEnum):
    """What becomes of an event that several units may count: the highest of them."""

    UNBILLED = 0
    COUNTED = 1
    HELD = 2


class Arrival(msgspec.Struct, gc=False, eq=False):
    """One event of one batch. `k` is the hash of (tenant, key), `occurred` aware UTC."""

    batch: Batch
    index: int
    event: Event
    key: str
    k: str
    occurred: datetime
    occurred_text: str
    fate: Fate = Fate.UNBILLED


class Dead(msgspec.Struct, gc=False, eq=False):
    """An event that will not be counted, and why."""

    batch: Batch
    index: int
    why: Refusal


def of_batch(batch: Batch, skipped: frozenset[int]) -> Iterator[Arrival | Dead]:
    """The events of one batch in order, but the `skipped`; what the door refused is dead."""
    tenant = batch.tenant_id.bytes
    for index, event in enumerate(_events(batch)):
        if index in skipped:
            continue
        if isinstance(event, Refusal):
            yield Dead(batch, index, event)
            continue
        # A key is never made twice for one event: it follows from the batch, whoever drains it.
        key = event.idempotencyKey or f"auto:{batch.batch_id}:{index}"
        k = blake2b(tenant + key.encode(), digest_size=16).hexdigest()
        occurred = event.occurred(batch.received_at)
        yield Arrival(batch, index, event, key, k, occurred, occurred.isoformat())


def _events(batch: Batch) -> list[Event | Refusal]:
    """The door's decisions, with the events it let pass decoded again."""
    if not batch.refused:
        decoded = events.decode_all(batch.array)
        if decoded is not None:
            return decoded
    raws = events.split(batch.array)
    return [batch.refused.get(index) or events.decode_one(raw) for index, raw in enumerate(raws)]
