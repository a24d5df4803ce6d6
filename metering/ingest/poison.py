"""One event that cannot be counted must not hold up the others: find it by halves, set it aside."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog
from django.db import DataError, IntegrityError, NotSupportedError, transaction

from metering.ingest import drain, inbox

log = structlog.get_logger(__name__)

# Failures that an event can cause. A server that is away or a missing table is none of them:
# those are raised, and the inbox keeps everything.
POISON = (
    DataError,
    IntegrityError,
    NotSupportedError,
    msgspec.MsgspecError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)


class _Probed(Exception):
    """Raised to undo a trial."""


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


def _drain_searched(row_id: int, *, now: datetime) -> int:
    """Drain one row with every offending event set aside; the row stays locked throughout."""
    with transaction.atomic():
        drain.begin()
        if not inbox.reclaim([row_id]):
            return 0  # another drain was faster
        offenders: frozenset[int] = frozenset()
        while True:
            try:
                return _attempt(row_id, offenders, now=now)
            except POISON as error:
                offender = _first_offender(row_id, offenders, now=now)
                if offender in offenders:
                    raise  # it fails without any event: not an event's fault
                log.warning("event_set_aside", row=row_id, index=offender, error=repr(error))
                offenders |= {offender}


def _attempt(row_id: int, skipped: frozenset[int], *, now: datetime) -> int:
    with transaction.atomic():  # a savepoint: the lock on the row outlives a failure
        return drain.drain([row_id], now=now, parked={row_id: skipped})


def _first_offender(row_id: int, known: frozenset[int], *, now: datetime) -> int:
    """The lowest index up to which counting fails."""
    (batch,) = inbox.read([row_id])
    low, high = -1, batch.event_count - 1  # counting up to `low` works, up to `high` fails
    while high - low > 1:
        middle = (low + high) // 2
        beyond = frozenset(range(middle + 1, batch.event_count))
        if _fails(row_id, known | beyond, now=now):
            high = middle
        else:
            low = middle
    return high


def _fails(row_id: int, skipped: frozenset[int], *, now: datetime) -> bool:
    """Whether counting the row without the skipped events fails; nothing is kept of the trial."""
    try:
        with transaction.atomic():
            drain.drain([row_id], now=now, parked={row_id: skipped})
            raise _Probed  # noqa: TRY301 - the way to roll a block back
    except _Probed:
        return False
    except POISON:
        return True


def _drain_again(ids: Sequence[int], *, now: datetime) -> int:
    """Claim the rows again, since the failed attempt let them go; others may have been faster."""
    with transaction.atomic():
        drain.begin()
        mine = inbox.reclaim(ids)
        return drain.drain(mine, now=now) if mine else 0
