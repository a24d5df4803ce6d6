"""One event that cannot be counted must not hold up the others: find it by halves, set it aside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import msgspec
import structlog
from django.db import DataError, IntegrityError, NotSupportedError, transaction

from aforo.errors import AforoError
from metering.ingest import arrivals, drain, inbox, write
from metering.ingest.arrivals import Arrival, Dead
from metering.ingest.events import Event, Refusal
from metering.ingest.inbox import Batch
from metering.ingest.write import Tally

log = structlog.get_logger(__name__)

# Failures that an event can cause. A server that is away, a missing table or the end of a task's
# time is none of them: those are raised, and the inbox keeps everything.
POISON = (
    DataError,
    IntegrityError,
    NotSupportedError,
    msgspec.MsgspecError,
    AforoError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
SET_ASIDE = Refusal("UNPROCESSABLE", "counting this event failed; it was set aside")


def drain_in_halves(ids: Sequence[int], *, now: datetime) -> int:
    """Drain rows of which some raise: the good halves commit, a single row is searched."""
    if len(ids) == 1:
        return _drain_searched(ids[0], now=now)
    middle = len(ids) // 2
    drained = 0
    for half in (ids[:middle], ids[middle:]):
        try:
            drained += _drain_again(half, now=now)
        except POISON:
            drained += drain_in_halves(half, now=now)
    return drained


def _drain_again(ids: Sequence[int], *, now: datetime) -> int:
    """Claim the rows again, since the failed attempt let them go; others may have been faster."""
    with transaction.atomic():
        drain.begin()
        mine = inbox.reclaim(ids)
        return drain.drain(mine, now=now) if mine else 0


def _drain_searched(row_id: int, *, now: datetime) -> int:
    """Drain one row with every offending event set aside; the row stays locked throughout."""
    with transaction.atomic():
        drain.begin()
        if not inbox.reclaim([row_id]):
            return 0  # another drain was faster
        searched = _opened(row_id)
        if searched is None:
            log.error("batch_written_off", row=row_id)
            return write.off(row_id, now=now)
        offenders = searched.offenders(searched.all())
        while True:
            try:
                return searched.drain_without(offenders, now=now)
            except POISON as error:
                if searched.failure(searched.all(offenders)) is None:
                    raise  # it is not the counting that fails: no event's fault
                offender = searched.first_offender(offenders)
                log.warning("event_set_aside", row=row_id, index=offender, error=repr(error))
                offenders |= {offender}


def _opened(row_id: int) -> "Searched | None":
    """The row's events; None when they cannot be told from each other any more."""
    try:
        (batch,) = inbox.read([row_id])
        found = arrivals.decoded(batch)
    except POISON:
        return None
    return Searched(batch, found) if len(found) == batch.event_count else None


@dataclass(frozen=True, slots=True)
class Searched:
    """One batch whose counting failed. Trials count some of its events, and are undone."""

    batch: Batch
    found: list[Event | Refusal]

    def all(self, but: frozenset[int] = frozenset()) -> list[int]:
        return [index for index in range(len(self.found)) if index not in but]

    def drain_without(self, offenders: frozenset[int], *, now: datetime) -> int:
        """Count all but the offenders, which become dead letters."""
        tallies = {self.batch.id: Tally()}
        aside = [Dead(self.batch, index, SET_ASIDE) for index in sorted(offenders)]
        with transaction.atomic():  # a savepoint: the lock on the row outlives a failure
            drain.count(chain(self._events(self.all(offenders)), aside), tallies)
            write.receipts([self.batch], tallies, now=now)
            write.file_inbox([self.batch])
        return self.batch.event_count

    def offenders(self, among: list[int]) -> frozenset[int]:
        """The events that fail even alone, found by halves."""
        error = self.failure(among)
        if error is None:
            return frozenset()
        if len(among) == 1:
            log.warning("event_set_aside", row=self.batch.id, index=among[0], error=repr(error))
            return frozenset(among)
        middle = len(among) // 2
        return self.offenders(among[:middle]) | self.offenders(among[middle:])

    def first_offender(self, known: frozenset[int]) -> int:
        """The lowest index up to which counting fails, where no event fails alone."""
        among = self.all(known)
        low, high = 0, len(among)  # counting the first `low` works, the first `high` fails
        while high - low > 1:
            middle = (low + high) // 2
            if self.failure(among[:middle]) is None:
                low = middle
            else:
                high = middle
        return among[high - 1]

    def failure(self, among: list[int]) -> Exception | None:
        """Why counting these fails; nothing is kept of the trial, nor are its locks."""
        try:
            with transaction.atomic():
                drain.count(self._events(among), {self.batch.id: Tally()})
                transaction.set_rollback(True)
        except POISON as error:
            return error
        return None

    def _events(self, among: list[int]) -> Iterator[Arrival | Dead]:
        return arrivals.of_events(self.batch, self.found, among)
