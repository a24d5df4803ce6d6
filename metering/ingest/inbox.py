"""The inbox: one statement makes a body durable and checks its key; a drain claims and deletes."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple
from uuid import UUID

import lz4.frame
import msgspec
from django.db import connection

from metering.ingest.connection import hot_cursor
from metering.ingest.events import Refusal
from metering.ingest.gates import LATE_AFTER
from metering.proof import microseconds

BUCKETS = 256  # a tenant's rows share one; drains share the buckets out
CLAIMED_ROWS = 2_000  # looked at per claim; one wake-up never waits for a longer list

# The key is checked by the statement that stores the body, without a row lock: a request that
# starts after a revoke has answered finds no row to insert from.
_STORE = """
    INSERT INTO inbox_batches (batch_id, tenant_id, bucket, api_key_id, customer_id, source, door,
                               received_at, arrived_at, event_count, refused, body)
    SELECT %s, k.tenant_id, %s, k.id, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s
    FROM api_keys k WHERE k.digest = %s AND k.revoked_at IS NULL
    RETURNING id
"""
_PUT = """
    INSERT INTO inbox_batches (batch_id, tenant_id, bucket, customer_id, source, door, received_at,
                               arrived_at, event_count, refused, body)
    VALUES (%s, %s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s)
"""
# Buckets are listed, because the planner knows nothing of remainders: it would sort a long inbox.
_CLAIM = """
    SELECT id, tenant_id, event_count FROM inbox_batches
    WHERE bucket = ANY(%s::smallint[]) AND tenant_id <> ALL(%s::uuid[])
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_RECLAIM = """
    SELECT id FROM inbox_batches WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
"""
_READ = """
    SELECT id, batch_id, tenant_id, api_key_id, source, door, received_at, arrived_at,
           event_count, refused, body, customer_id
    FROM inbox_batches WHERE id = ANY(%s) ORDER BY id
"""
_REPLAYED = "/api/v1/dead-letters/replay?source="
_SPECIAL = (b"\\", b"\t", b"\n", b"\r")  # four scans by memchr: a tenth of one by a pattern
_refusals = msgspec.json.Decoder(list[tuple[int, str, str]])


class WaitingRow(NamedTuple):
    """A row that waits, as a claim sees it."""

    id: int
    tenant_id: UUID
    event_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One inbox row, opened: the events' JSON array and what the door refused, by index."""

    id: int
    batch_id: UUID
    tenant_id: UUID
    api_key_id: UUID | None
    source: str
    door: str
    received_at: datetime
    arrived_at: datetime
    event_count: int
    refused: dict[int, Refusal]
    array: bytes
    customer_id: UUID | None = None  # whose usage alone it may bring; None: anybody's
    # What every event of the batch repeats, spelled once.
    late_before: datetime = field(init=False)
    received_microseconds: int = field(init=False)
    batch_text: str = field(init=False)
    is_plain: bool = field(init=False)  # no text of it needs escaping for COPY
    columns: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "late_before", self.received_at - LATE_AFTER)
        object.__setattr__(self, "received_microseconds", microseconds(self.received_at))
        object.__setattr__(self, "batch_text", str(self.batch_id))
        is_plain = not any(special in self.array for special in _SPECIAL)
        object.__setattr__(self, "is_plain", is_plain)
        columns = f"{self.received_at.isoformat()}\t{self.source}\t{self.batch_id}"
        object.__setattr__(self, "columns", columns)

    @property
    def sender(self) -> str:
        """Who sent the events at first: a replay carries it in its door."""
        return self.door.removeprefix(_REPLAYED) if self.door.startswith(_REPLAYED) else self.source


def door_of_replay(sender: str) -> str:
    """The door of a batch of dead letters that are sent again."""
    return f"{_REPLAYED}{sender}"


def bucket_of(tenant_id: UUID) -> int:
    """The bucket of a tenant, 0 to 255; a shard of N holds the buckets that leave its rest."""
    return blake2b(tenant_id.bytes, digest_size=1).digest()[0]


def store(
    *,
    batch_id: UUID,
    bucket: int,
    key_digest: bytes,
    customer_id: UUID | None,
    source: str,
    door: str,
    received_at: datetime,
    event_count: int,
    refused: dict[int, Refusal],
    array: bytes,
) -> bool:
    """Make one body durable before its answer; False when the key opens nothing any more."""
    with hot_cursor() as cursor:
        cursor.execute(
            _STORE,
            (
                batch_id,
                bucket,
                customer_id,
                source,
                door,
                received_at,
                event_count,
                _closed(refused),
                lz4.frame.compress(array),
                key_digest,
            ),
        )
        return cursor.fetchone() is not None


class Body(NamedTuple):
    """A body of our own on its way into the inbox."""

    batch_id: UUID
    tenant_id: UUID
    source: str
    door: str
    received_at: datetime
    event_count: int
    refused: dict[int, Refusal]
    array: bytes
    customer_id: UUID | None = None


def put(
    *,
    batch_id: UUID,
    tenant_id: UUID,
    source: str,
    door: str,
    received_at: datetime,
    event_count: int,
    refused: dict[int, Refusal],
    array: bytes,
    customer_id: UUID | None = None,
) -> None:
    """Put a body of our own into the inbox, in the caller's transaction: nobody's key is asked.

    With a `customer_id` no usage of anybody else is counted of it.
    """
    body = Body(
        batch_id, tenant_id, source, door, received_at, event_count, refused, array, customer_id
    )
    with hot_cursor() as cursor:
        cursor.execute(_PUT, _row_of(body))


def put_all(bodies: Iterable[Body]) -> None:
    """The same for many, in a pipeline: one at a time, a thousand take half a second."""
    with hot_cursor() as cursor:
        cursor.executemany(_PUT, map(_row_of, bodies))


def _row_of(body: Body) -> tuple[object, ...]:
    return (
        body.batch_id,
        body.tenant_id,
        bucket_of(body.tenant_id),
        body.customer_id,
        body.source,
        body.door,
        body.received_at,
        body.event_count,
        _closed(body.refused),
        lz4.frame.compress(body.array),
    )


def claim(*, shard: int, shards: int, limit: int) -> list[int]:
    """Lock waiting rows of one shard, up to about `limit` events, in order; their ids.

    Rows that another drain holds are skipped: workers never wait for each other here. The events
    are shared out among the tenants that wait, so that no flood holds up somebody else's.
    """
    waiting = _waiting(shard, shards, besides=())
    if len(waiting) == CLAIMED_ROWS:  # a flood: whoever waits behind it is looked for as well
        waiting += _waiting(shard, shards, besides={row.tenant_id for row in waiting})
    return sorted(fair_shares(waiting, limit=limit))


def _waiting(shard: int, shards: int, *, besides: Collection[UUID]) -> list[WaitingRow]:
    buckets = list(range(shard, BUCKETS, shards))
    with hot_cursor() as cursor:
        rows = cursor.execute(_CLAIM, (buckets, list(besides), CLAIMED_ROWS)).fetchall()
    return [WaitingRow._make(row) for row in rows]


def fair_shares(waiting: Sequence[WaitingRow], *, limit: int) -> list[int]:
    """The ids of the rows to take, until `limit` events are reached: each tenant's oldest first.

    The next row is always of the tenant that has got the fewest events so far, the oldest where
    several have: whoever has just come waits for no flood.
    """
    queues: dict[UUID, deque[WaitingRow]] = {}
    for row in waiting:
        queues.setdefault(row.tenant_id, deque()).append(row)
    turns = [(0, rows[0].id, tenant_id) for tenant_id, rows in queues.items()]
    heapify(turns)
    ids: list[int] = []
    while turns and limit > 0:
        got, row_id, tenant_id = turns[0]
        ids.append(row_id)
        events = queues[tenant_id].popleft().event_count
        limit -= events
        if queues[tenant_id]:
            heapreplace(turns, (got + events, queues[tenant_id][0].id, tenant_id))
        else:
            heappop(turns)
    return ids


def reclaim(ids: Sequence[int]) -> list[int]:
    """Lock these rows again; those that are gone or held by another drain are left out."""
    with hot_cursor() as cursor:
        return [row_id for (row_id,) in cursor.execute(_RECLAIM, (list(ids),)).fetchall()]


def read(ids: Sequence[int]) -> list[Batch]:
    """The claimed rows, opened, in the order they came."""
    with hot_cursor() as cursor:
        rows = cursor.execute(_READ, (list(ids),)).fetchall()
    return [
        Batch(*row[:9], _opened(row[9]), lz4.frame.decompress(row[10]), row[11])  # type: ignore[call-arg]
        for row in rows
    ]


def _closed(refused: dict[int, Refusal]) -> bytes | None:
    notes = [(index, why.code, why.detail) for index, why in refused.items()]
    return msgspec.json.encode(notes) if notes else None


def _opened(refused: bytes | None) -> dict[int, Refusal]:
    if refused is None:
        return {}
    return {index: Refusal(code, detail) for index, code, detail in _refusals.decode(refused)}


def waiting_shards(shards: int) -> list[int]:
    """Shards that have rows waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT bucket %% %s FROM inbox_batches", (shards,))
        return sorted(shard for (shard,) in cursor.fetchall())
