"""What a drain leaves behind: events, dead letters, held events, receipts, an empty inbox."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import groupby
from typing import Any

import msgspec

from aforo.ids import new_id
from metering.ingest import events
from metering.ingest.arrivals import Arrival, Dead
from metering.ingest.connection import hot_cursor
from metering.ingest.inbox import Batch
from metering.ingest.rows import COLUMNS, TakeRows
from metering.ingest.targets import Target

LINES_PER_PIECE = 200  # about 100 kB of rows: what psycopg hands over in one go
_EVENTS = f"COPY usage_events ({COLUMNS}) FROM STDIN"
# The same event refused again for the same reason raises its count, not its number.
_DEAD_LETTERS = """
    INSERT INTO dead_letters (id, tenant_id, code, detail, status, occurrences, fingerprint, event,
        metric, customer, customer_id, source, batch_id, batch_index, received_at, last_seen_at)
    SELECT id, tenant_id, code, detail, 'OPEN', occurrences, fingerprint, event,
        metric, customer, customer_id, source, batch_id, batch_index, received_at, received_at
    FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::int[], %s::uuid[], %s::bytea[],
                %s::text[], %s::text[], %s::uuid[], %s::text[], %s::uuid[], %s::int[],
                %s::timestamptz[])
        AS given (id, tenant_id, code, detail, occurrences, fingerprint, event,
                  metric, customer, customer_id, source, batch_id, batch_index, received_at)
    ON CONFLICT (tenant_id, fingerprint) WHERE status = 'OPEN' DO UPDATE SET
        occurrences = dead_letters.occurrences + excluded.occurrences,
        last_seen_at = greatest(dead_letters.last_seen_at, excluded.last_seen_at)
"""
_OCCURRENCES = 4  # where a letter's row counts them
_HELD = """
    COPY held_events (id, tenant_id, status, running_total_id, customer_id, unit_id,
        idempotency_key, metric, quantity, occurred_at, received_at, event, source, batch_id,
        batch_index, decided_by, reason) FROM STDIN
"""
_RECEIPTS = """
    COPY receipts (batch_id, tenant_id, api_key_id, source, door, received_at, arrived_at,
        drained_at, event_count, counted, unbilled, duplicates, dead, held, refusals, steps)
    FROM STDIN
"""
_UNREADABLE = "UNREADABLE_BATCH"
_LETTER_OF_BATCH = """
    INSERT INTO dead_letters (id, tenant_id, code, detail, status, occurrences, fingerprint, event,
        metric, customer_id, source, batch_id, batch_index, received_at, last_seen_at)
    SELECT %s, tenant_id, %s, 'the stored body cannot be opened', 'OPEN', event_count, batch_id,
        body, '', customer_id, source, batch_id, 0, received_at, received_at
    FROM inbox_batches WHERE id = %s
"""
_RECEIPT_OF_BATCH = """
    INSERT INTO receipts (batch_id, tenant_id, api_key_id, source, door, received_at, arrived_at,
        drained_at, event_count, counted, unbilled, duplicates, dead, held, refusals)
    SELECT batch_id, tenant_id, api_key_id, source, door, received_at, arrived_at, %s,
        event_count, 0, 0, 0, event_count, 0,
        (SELECT jsonb_agg(jsonb_build_array(i, %s::text))
         FROM generate_series(0, event_count - 1) AS i)
    FROM inbox_batches WHERE id = %s RETURNING event_count
"""
_DELETE = "DELETE FROM inbox_batches WHERE id = ANY(%s)"
# The server moves the compressed bodies by itself: they are what an event is traced back to.
_FILE = """
    WITH gone AS (
        DELETE FROM inbox_batches WHERE id = ANY(%s)
        RETURNING batch_id, tenant_id, arrived_at, body)
    INSERT INTO raw_payloads (batch_id, tenant_id, arrived_at, body) SELECT * FROM gone
"""


@dataclass(slots=True)
class Tally:
    """What became of one batch, in events as they came."""

    counted: int = 0
    unbilled: int = 0
    duplicates: int = 0
    held: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)  # index and code of the dead


@contextmanager
def usage_events() -> Iterator[TakeRows]:
    """Takes rows in COPY's text format, the fastest way in from Python, while they are made.

    PostgreSQL stores the first while Python prices the next: a sixth of the drain's time. Nothing
    else can be asked of the database until this ends.
    """
    waiting: list[str] = []

    def take(lines: Sequence[str]) -> None:
        waiting.extend(lines)
        if len(waiting) >= LINES_PER_PIECE:
            copy.write("".join(waiting).encode())
            waiting.clear()

    with hot_cursor() as cursor, cursor.copy(_EVENTS) as copy:
        yield take
        copy.write("".join(waiting).encode())


def dead_letters(dead: Iterable[Dead]) -> None:
    """Keep refused events whole, once per kind of refusal, in one global order."""
    letters: dict[tuple[bytes, str], list[Any]] = {}
    for batch, group in groupby(sorted(dead, key=_by_batch), key=lambda letter: letter.batch):
        raws = events.split(batch.array)
        for letter in group:
            _add_letter(letters, letter, bytes(raws[letter.index]))
    if letters:
        columns = zip(*(letters[key] for key in sorted(letters)), strict=True)
        with hot_cursor() as cursor:
            cursor.execute(_DEAD_LETTERS, [list(column) for column in columns])


def _add_letter(letters: dict[tuple[bytes, str], list[Any]], letter: Dead, event: bytes) -> None:
    batch, why = letter.batch, letter.why
    # Of another key than the tenant's own it is another letter: what it may count for differs.
    own = batch.customer_id.bytes if batch.customer_id else b""
    said = why.code.encode() + b"\0" + event
    fingerprint = blake2b(said, digest_size=16, person=own).hexdigest()
    known = letters.get((batch.tenant_id.bytes, fingerprint))
    if known is not None:
        known[_OCCURRENCES] += 1
        return
    letters[batch.tenant_id.bytes, fingerprint] = [
        new_id(), batch.tenant_id, why.code, why.detail, 1, fingerprint, event,
        *events.named_in(event), batch.customer_id, batch.sender, batch.batch_id, letter.index,
        batch.received_at,
    ]  # fmt: skip


def _by_batch(letter: Dead) -> tuple[int, int]:
    return (letter.batch.id, letter.index)


def held_events(held: Sequence[tuple[Arrival, Target, int]]) -> None:
    """Late events of billed periods, whole: an operator accepts or waives them."""
    if not held:
        return
    batches = {arrival.batch.id: arrival.batch for arrival, _, _ in held}
    events_of = {batch_id: events.split(batch.array) for batch_id, batch in batches.items()}
    with hot_cursor() as cursor, cursor.copy(_HELD) as copy:
        for arrival, target, total_id in held:
            batch, event = arrival.batch, arrival.event
            copy.write_row((
                new_id(), batch.tenant_id, "WAITING", total_id, target.customer_id,
                target.unit.unit_id, arrival.key, event.metricName, event.quantity,
                arrival.occurred, batch.received_at, bytes(events_of[batch.id][arrival.index]),
                batch.source, batch.batch_id, arrival.index, "", "",
            ))  # fmt: skip


def receipts(
    batches: Sequence[Batch],
    tallies: dict[int, Tally],
    *,
    now: datetime,
    steps: dict[str, float] | None = None,
) -> None:
    """One receipt per batch; a check constraint sees that every event is accounted for.

    `steps` is what the drain took so far, in milliseconds by step, for all of its batches.
    """
    took = msgspec.json.encode(steps).decode() if steps else None
    with hot_cursor() as cursor, cursor.copy(_RECEIPTS) as copy:
        for batch in batches:
            tally = tallies[batch.id]
            copy.write_row((
                batch.batch_id, batch.tenant_id, batch.api_key_id, batch.source, batch.door,
                batch.received_at, batch.arrived_at, now, batch.event_count, tally.counted,
                tally.unbilled, tally.duplicates, len(tally.refusals), tally.held,
                _json(sorted(tally.refusals)), took,
            ))  # fmt: skip


def _json(refusals: list[tuple[int, str]]) -> str | None:
    return msgspec.json.encode(refusals).decode() if refusals else None


def file_inbox(batches: Sequence[Batch]) -> None:
    """Gone from the inbox in the transaction that counted them: killed whenever, exactly once."""
    with hot_cursor() as cursor:
        cursor.execute(_FILE, ([batch.id for batch in batches],))


def off(row_id: int, *, now: datetime) -> int:
    """Turn a row whose body cannot be opened into one dead letter; how many events it claims."""
    with hot_cursor() as cursor:
        cursor.execute(_LETTER_OF_BATCH, (new_id(), _UNREADABLE, row_id))
        cursor.execute(_RECEIPT_OF_BATCH, (now, _UNREADABLE, row_id))
        (count,) = cursor.fetchone()  # type: ignore[misc]  # the caller holds the row
        cursor.execute(_DELETE, ([row_id],))
    return int(count)
