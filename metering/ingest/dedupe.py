"""The judge of duplicates: one insert into the ledger of keys says which events are new."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from metering.ingest.arrivals import Arrival, hash_of
from metering.ingest.connection import hot_cursor, uuids

# Keys go in sorted: two overlapping batches in different orders would deadlock.
# What comes back is what the insert itself did not take, so that a key which another drain has
# just committed, and which no snapshot of ours could show, is never taken for a new one.
_INSERT = """
    WITH given AS MATERIALIZED (SELECT * FROM unnest(%s::uuid[], %s::uuid[]) AS g(k, body)),
    taken AS (
        INSERT INTO event_keys (k, body) SELECT k, body FROM given
        ON CONFLICT DO NOTHING RETURNING k)
    SELECT k FROM given WHERE NOT EXISTS (SELECT FROM taken WHERE taken.k = given.k)
"""
_BODIES = "SELECT k, body FROM event_keys WHERE k = ANY(%s::uuid[])"
_HOLD = "SELECT FROM event_keys WHERE k = %s FOR UPDATE"
_FREE = "DELETE FROM event_keys WHERE k = ANY(%s::uuid[])"


class Judgement(NamedTuple):
    """New events, exact repeats, and events that reuse a key for something else."""

    fresh: list[Arrival]
    repeated: list[Arrival]
    conflicting: list[Arrival]

    def joined(self, other: "Judgement") -> "Judgement":
        return Judgement(*(own + more for own, more in zip(self, other, strict=True)))


def settle(arrivals: Iterable[Arrival]) -> Judgement:
    """Judge every event by its key, for good; the first of a key wins, in the order of arrival.

    A repeat is the same event when its body is: customer, metric, quantity as a value, metadata,
    and the time if the sender gave it.
    """
    first: dict[bytes, Arrival] = {}
    later = [arrival for arrival in arrivals if first.setdefault(arrival.k, arrival) is not arrival]
    known = _known_bodies(first)
    fresh = (
        [arrival for k, arrival in first.items() if k not in known]
        if known
        else list(first.values())
    )
    repeated: list[Arrival] = []
    conflicting: list[Arrival] = []
    for arrival in [*(first[k] for k in known), *later]:
        same = arrival.body == (known.get(arrival.k) or first[arrival.k].body)
        (repeated if same else conflicting).append(arrival)
    return Judgement(fresh, repeated, conflicting)


def hold(tenant_id: UUID, key: str) -> None:
    """Lock a key that is in the ledger: who decides about its event is alone until they commit.

    Drains do not wait for it. They never change a key that is there.
    """
    with hot_cursor() as cursor:
        cursor.execute(_HOLD, (UUID(hash_of(tenant_id, key)),))


def free(arrivals: Iterable[Arrival]) -> None:
    """Give keys back: a dead letter never holds its key, so that a replay counts."""
    keys = sorted(arrival.k for arrival in arrivals)
    if keys:
        with hot_cursor() as cursor:
            cursor.execute(_FREE, (uuids(keys),))


def without_followers(
    judged: Judgement, homeless: Iterable[Arrival]
) -> tuple[Judgement, list[Arrival]]:
    """The judgement on all but the homeless and their followers; the latter, as they came.

    Followers are events that were only judged by the key of one that will not be counted.
    """
    gone = {arrival.k for arrival in homeless}
    kept = Judgement(*([arrival for arrival in part if arrival.k not in gone] for part in judged))
    followers = [arrival for arrival in judged.repeated + judged.conflicting if arrival.k in gone]
    return kept, sorted(followers, key=lambda arrival: (arrival.batch.id, arrival.index))


def _known_bodies(first: dict[bytes, Arrival]) -> dict[bytes, bytes]:
    """Insert all keys with their bodies; the stored body of those that were there before."""
    if not first:
        return {}
    keys = sorted(first)
    bodies = [first[k].body for k in keys]
    with hot_cursor() as cursor:
        cursor.execute(_INSERT, (uuids(keys), uuids(bodies)))
        old = [k.bytes for (k,) in cursor]
        if not old:
            return {}
        return {k.bytes: body.bytes for k, body in cursor.execute(_BODIES, (uuids(old),))}
