"""One event that cannot be counted must not hold up the others: find it by halves, set it aside."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog
from django.db import DataError, IntegrityError, NotSupportedError, transaction

from aforo.errors import AforoError
from metering.ingest import drain, events, inbox, write

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
Indices = frozenset[int]


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
        count = _readable_events(row_id)
        if count is None:
            log.error("batch_written_off", row=row_id)
            return write.off(row_id, now=now)
        offenders = _offenders(row_id, range(count), frozenset(range(count)), now=now)
        while True:
            try:
                return _attempt(row_id, offenders, now=now)
            except POISON as error:
                offender = _first_offender(row_id, count, offenders, now=now)
                if offender in offenders:
                    raise  # it fails without any event: not an event's fault
                log.warning("event_set_aside", row=row_id, index=offender, error=repr(error))
                offenders |= {offender}


def _readable_events(row_id: int) -> int | None:
    """How many events the row holds; None when they cannot be told from each other any more."""
    try:
        (batch,) = inbox.read([row_id])
        count = len(events.split(batch.array))
    except POISON:
        return None
    return count if count == batch.event_count else None


def _attempt(row_id: int, skipped: Indices, *, now: datetime) -> int:
    with transaction.atomic():  # a savepoint: the lock on the row outlives a failure
        return drain.drain([row_id], now=now, parked={row_id: skipped})


def _offenders(row_id: int, among: range, whole: Indices, *, now: datetime) -> Indices:
    """The events that fail even alone: two trials for each halving, few for few offenders."""
    error = _failure(row_id, whole.difference(among), now=now)
    if error is None:
        return frozenset()
    if len(among) == 1:
        log.warning("event_set_aside", row=row_id, index=among[0], error=repr(error))
        return frozenset(among)
    middle = len(among) // 2
    left = _offenders(row_id, among[:middle], whole, now=now)
    return left | _offenders(row_id, among[middle:], whole, now=now)


def _first_offender(row_id: int, count: int, known: Indices, *, now: datetime) -> int:
    """The lowest index up to which counting fails, where no event fails alone."""
    low, high = -1, count - 1  # counting up to `low` works, up to `high` fails
    while high - low > 1:
        middle = (low + high) // 2
        beyond = frozenset(range(middle + 1, count))
        if _failure(row_id, known | beyond, now=now) is not None:
            high = middle
        else:
            low = middle
    return high


def _failure(row_id: int, skipped: Indices, *, now: datetime) -> Exception | None:
    """Why counting the row without the skipped events fails; nothing is kept of the trial."""
    try:
        with transaction.atomic():
            drain.drain([row_id], now=now, parked={row_id: skipped}, is_trial=True)
            transaction.set_rollback(True)
    except POISON as error:
        return error
    return None
