"""The drain: count what waits in the inbox, each event once, in one transaction."""

import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import chain
from itertools import count as numbers

from django.db import transaction

from metering.entitlements import counters
from metering.ingest import (
    arrivals,
    dedupe,
    enrichment,
    inbox,
    live,
    margins_moved,
    rating,
    sessions,
    undefined,
    unit_use,
    write,
)
from metering.ingest.arrivals import Arrival, Dead, Fate
from metering.ingest.connection import hot_cursor
from metering.ingest.dedupe import Judgement
from metering.ingest.enrichment import Routed
from metering.ingest.events import Refusal
from metering.ingest.rating import Locked
from metering.ingest.write import Tally

EVENTS_PER_DRAIN = 20_000  # merges of 20,000 are about a fifth faster than merges of 5,000
LOOK_AGAIN = 200  # drains between two looks for rings at everything that a process holds
_drains = numbers(1)


class Steps:
    """What each step of one drain took, in milliseconds: part of every receipt it writes."""

    __slots__ = ("_since", "took")

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self._since = time.perf_counter()

    def done(self, step: str) -> None:
        """The step that ends here began where the last one ended."""
        now = time.perf_counter()
        self.took[step] = round((now - self._since) * 1000, 3)
        self._since = now


def drain(ids: Sequence[int], *, now: datetime) -> int:
    """Count the claimed rows in the caller's transaction, which holds their locks; the events.

    The inbox rows go in the same transaction: killed anywhere in here, nothing has happened.
    """
    steps = Steps()
    batches = inbox.read(ids)
    steps.done("claim")
    tallies = {batch.id: Tally() for batch in batches}
    with _no_search_for_rings():
        count(chain.from_iterable(map(arrivals.of_batch, batches)), tallies, steps)
    write.receipts(batches, tallies, now=now, steps=steps.took)
    write.file_inbox(batches)
    return sum(batch.event_count for batch in batches)


def count(
    arrived: Iterable[Arrival | Dead], tallies: dict[int, Tally], steps: Steps | None = None
) -> None:
    """Count events, each once; what became of them is added to the tallies of their batches."""
    steps = steps or Steps()
    passed, refused = _parted(arrived)
    steps.done("decode")
    judged, routed, homeless = _judged(passed)
    steps.done("judge")
    locked = rating.lock(routed)  # the running totals, in id order
    steps.done("lock")
    with write.usage_events() as take:  # stores the first rows while the next are priced
        rating.price(locked, take)
    rating.write_back(locked)
    sessions.note(routed, locked.spent)
    steps.done("rate")
    dead = [*refused, *_conflicts(judged.conflicting), *homeless]
    write.held_events(locked.held)  # their period is billed: an operator decides
    write.dead_letters(dead)
    undefined.note()
    steps.done("write")
    _tally(tallies, judged, dead)
    live.tell(judged, routed, dead)
    transaction.on_commit(lambda: unit_use.note_all(locked), robust=True)
    transaction.on_commit(lambda: margins_moved.note_all(locked), robust=True)
    transaction.on_commit(lambda: counters.tell(locked), robust=True)
    transaction.on_commit(partial(_remember_totals, locked))


def begin() -> None:
    """A lost commit brings the inbox rows back with everything else undone: no need to wait."""
    with hot_cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


@contextmanager
def _no_search_for_rings() -> Iterator[None]:
    """Keep Python's collector out of a drain, which makes many objects and no rings of them.

    It looks through all that a process holds, contracts too, whenever many more are alive: a tenth
    of the drain's own time. What is alive at the end is set aside, and looked through once in a
    while.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            if next(_drains) % LOOK_AGAIN == 0:
                gc.unfreeze()
                gc.collect()
            gc.freeze()


def _parted(arrived: Iterable[Arrival | Dead]) -> tuple[list[Arrival], list[Dead]]:
    everything = list(arrived)
    dead = [one for one in everything if isinstance(one, Dead)]
    if not dead:  # nearly always
        return everything, dead  # type: ignore[return-value]
    return [one for one in everything if isinstance(one, Arrival)], dead


def _judged(passed: Sequence[Arrival]) -> tuple[Judgement, list[Routed], list[Dead]]:
    """Events judged by their keys, the new ones with who counts them, the homeless as dead.

    A dead letter never holds its key, so that a replay counts. Therefore what came after it under
    the same key is judged once more, as it would have been by a later drain.
    """
    judged = dedupe.settle(passed)
    routed, dead, homeless = enrichment.attach_contracts(judged.fresh)
    if not homeless:
        return judged, routed, dead
    dedupe.free(homeless)
    judged, followers = dedupe.without_followers(judged, homeless)
    if followers:
        at_home, more_dead, _ = enrichment.attach_contracts(followers)
        again = dedupe.settle(arrival for arrival, _ in at_home)
        fresh = set(again.fresh)
        routed += [one for one in at_home if one[0] in fresh]
        dead += more_dead
        judged = judged.joined(again)
    return judged, routed, dead


def _conflicts(arrived: Iterable[Arrival]) -> list[Dead]:
    why = Refusal("IDEMPOTENCY_CONFLICT", "idempotencyKey was used before for another event")
    return [Dead(arrival.batch, arrival.index, why) for arrival in arrived]


def _tally(tallies: dict[int, Tally], judged: Judgement, dead: Sequence[Dead]) -> None:
    """Each event once, as it came: what became of it by the highest of its fates."""
    for letter in dead:
        tallies[letter.batch.id].refusals.append((letter.index, letter.why.code))
    for arrival in judged.repeated:
        tallies[arrival.batch.id].duplicates += 1
    for arrival in judged.fresh:
        tally = tallies[arrival.batch.id]
        match arrival.fate:
            case Fate.COUNTED:
                tally.counted += 1
            case Fate.UNBILLED:
                tally.unbilled += 1
            case Fate.HELD:
                tally.held += 1


def _remember_totals(locked: Locked) -> None:
    """Only a committed total may be remembered: a rolled back one does not exist."""
    for target, total_id in locked.total_ids.items():
        target.total_id = total_id
