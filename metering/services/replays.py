"""Sending dead letters again: their events go into the inbox once more, as they first came.

Lateness and age are judged by the moment of the first arrival, never by that of the replay: each
batch that is sent again carries that moment as its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

import msgspec

from aforo.ids import new_id
from metering.ingest import events, gates, inbox, normalising, wake
from metering.ingest.connection import hot_cursor
from metering.ingest.events import Event, Refusal
from metering.ingest.inbox import Body
from metering.ingest.normalising import Cover
from metering.models import DeadLetter

SOURCE = "REPLAY"
MAX_BYTES = 8 * 1024 * 1024  # of one batch; what the doors take at most is a little more
# Who says these has judged the event's time already, by the limits of the door it came in by.
PAST_THE_DOOR = frozenset({
    "UNKNOWN_METRIC", "UNKNOWN_CUSTOMER", "NO_SUBSCRIPTION", "MISSING_FIELD",
    "IDEMPOTENCY_CONFLICT", "UNPRICEABLE", "UNPROCESSABLE",
})  # fmt: skip
_MARK = """
    UPDATE dead_letters d SET status = 'REPLAYED', replay_batch_id = given.batch_id,
        decided_at = %s, decided_by = %s, reason = %s
    FROM unnest(%s::uuid[], %s::uuid[]) AS given (id, batch_id)
    WHERE d.id = given.id AND d.status = 'OPEN'
"""
_KEY = "idempotencyKey"
_NULL = b"null"


class Replayed(NamedTuple):
    """What was sent again: letters, the events they stand for, and the batches that carry them."""

    letters: int
    events: int
    batch_ids: tuple[UUID, ...]


@dataclass(slots=True)
class _Parcel:
    """One batch on its way to the inbox."""

    received_at: datetime
    sender: str
    customer_id: UUID | None
    batch_id: UUID = field(default_factory=new_id)
    raws: list[bytes] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)
    size: int = 0

    def has_room_for(self, raw: bytes) -> bool:
        return len(self.raws) < events.MAX_EVENTS and self.size + len(raw) <= MAX_BYTES

    def add(self, raw: bytes, why: Refusal | None) -> None:
        if why is not None:
            self.refused[len(self.raws)] = why
        self.raws.append(raw)
        self.size += len(raw) + 1


def send_again(
    letters: Sequence[DeadLetter], *, tenant_id: UUID, now: datetime, by: str, reason: str
) -> Replayed:
    """Put the events of locked, open letters into the inbox and close the letters.

    In the caller's transaction: an event leaves the dead letters in the commit that brings it into
    the inbox. A letter that stands for n events sends n; those with one key count once.
    """
    first_batch: dict[UUID, UUID] = {}
    batch_ids: list[UUID] = []
    inbox.put_all(_noted(parcel, tenant_id, batch_ids) for parcel in _packed(letters, first_batch))
    with hot_cursor() as cursor:
        cursor.execute(_MARK, (now, by, reason, list(first_batch), list(first_batch.values())))
    if batch_ids:
        wake.after_commit(tenant_id)
    return Replayed(len(letters), sum(letter.occurrences for letter in letters), tuple(batch_ids))


def judged(raw: bytes, letter: DeadLetter) -> Refusal | None:
    """What the gates of the door say of `raw`, as of the moment the letter's event arrived.

    An event that had got past the door keeps its time: uploads may bring older ones than others.
    """
    event = events.decode_one(raw)
    if isinstance(event, Refusal):
        return event
    why = gates.check_quantity(event) or gates.check_text(event)
    if why is None and not _keeps_its_time(event, letter):
        why = gates.check_time(event, letter.received_at)
    return why


def _keeps_its_time(event: Event, letter: DeadLetter) -> bool:
    if letter.code not in PAST_THE_DOOR:
        return False
    before = events.decode_one(bytes(letter.event))
    return isinstance(before, Event) and before.occurredAt == event.occurredAt


def _packed(letters: Iterable[DeadLetter], first_batch: dict[UUID, UUID]) -> Iterator[_Parcel]:
    """Batches of the events; `first_batch` learns in which one each letter begins.

    Letters of one moment, sender and customer of a key travel together, so that no event gets
    others than it had.
    """
    for _, grouped in groupby(sorted(letters, key=_arrival), key=_arrival):
        group = list(grouped)
        parcel = _parcel_like(group[0])
        for letter in group:
            for raw, why in _copies(letter):
                if not parcel.has_room_for(raw) and parcel.raws:
                    yield parcel
                    parcel = _parcel_like(letter)
                first_batch.setdefault(letter.pk, parcel.batch_id)
                parcel.add(raw, why)
        yield parcel


def _arrival(letter: DeadLetter) -> tuple[datetime, str, str]:
    return letter.received_at, letter.source, str(letter.customer_id or "")


def _parcel_like(letter: DeadLetter) -> _Parcel:
    return _Parcel(letter.received_at, letter.source, letter.customer_id)


def _copies(letter: DeadLetter) -> Iterator[tuple[bytes, Refusal | None]]:
    """As many events as the letter stands for; the first under the key it was promised."""
    raw = _readable(letter)
    why = judged(raw, letter)
    yield _with_key(raw, events.made_key(letter.batch_id, letter.batch_index)), why
    for _ in range(letter.occurrences - 1):
        yield raw, why


def _readable(letter: DeadLetter) -> bytes:
    """Its event with unknown fields folded; as it stands when it can be read, or never will be.

    What can be read is not looked at again, so that stand-ins of secret names pass, here alone.
    """
    raw = bytes(letter.edited or letter.event)
    if isinstance(events.decode_one(raw), Event):
        return raw
    cover = Cover(letter.tenant_id, customer_id=letter.customer_id)
    folded = normalising.fold(raw, cover=cover, is_risky=True)
    return raw if isinstance(folded, Refusal) else folded


def _with_key(raw: bytes, key: str) -> bytes:
    fields = events.fields_of(raw)
    if isinstance(fields, Refusal) or bytes(fields.get(_KEY, _NULL)) != _NULL:
        return raw
    return msgspec.json.encode(fields | {_KEY: key})


def _noted(parcel: _Parcel, tenant_id: UUID, batch_ids: list[UUID]) -> Body:
    batch_ids.append(parcel.batch_id)
    return Body(
        batch_id=parcel.batch_id,
        tenant_id=tenant_id,
        source=SOURCE,
        door=inbox.door_of_replay(parcel.sender),
        received_at=parcel.received_at,
        event_count=len(parcel.raws),
        refused=parcel.refused,
        array=events.join(parcel.raws),
        customer_id=parcel.customer_id,
    )
