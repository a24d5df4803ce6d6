"""When a failed delivery is tried again, and when an endpoint is let alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import SystemRandom

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PAUSES = (
    5 * SECOND,
    30 * SECOND,
    2 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    1 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
    24 * HOUR,
)  # 12 attempts over 71 hours
JITTER = 0.1  # of a pause, either way: endpoints that fell together do not come back together
DISABLED_AFTER = timedelta(days=5)
FREE_FAILURES = 3  # in a row, before an endpoint rests
LONGEST_REST = 5 * MINUTE
LONGEST_ASKED = 24 * HOUR  # whoever asks for more is asked again after that
ASKING = frozenset({429, 503})  # answers whose `Retry-After` counts

_MOST_DIGITS = 9
Draw = Callable[[float, float], float]
_draw = SystemRandom().uniform


def next_attempt(
    step: int, *, now: datetime, asked: datetime | None = None, draw: Draw = _draw
) -> datetime | None:
    """When to try again after failure number `step` (from 0) of a round; None: not any more.

    Not before what the receiver `asked` for; it cannot ask for more attempts, nor for sooner ones.
    """
    if step >= len(PAUSES):
        return None
    usual = now + PAUSES[step] * draw(1 - JITTER, 1 + JITTER)
    if asked is None:
        return usual
    return max(usual, asked + PAUSES[0] * draw(0, 1))  # many were told the same instant


def asked_for(status: int | None, retry_after: str, *, now: datetime) -> datetime | None:
    """Until when an answer asks to be let alone, 24 hours at most; None: it does not.

    `Retry-After` is in whole seconds or a date of HTTP; what is neither says nothing.
    """
    if status not in ASKING:
        return None
    said = retry_after.strip()
    if said.isascii() and said.isdigit():
        seconds = min(int(said[:_MOST_DIGITS]), LONGEST_ASKED.total_seconds())
        return now + timedelta(seconds=seconds)
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, OverflowError):  # what is said may be of any size
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(at, now + LONGEST_ASKED) if at > now else None


def rest_after(failures: int, *, now: datetime, asked: datetime | None = None) -> datetime | None:
    """Until when nothing at all is sent to an endpoint that failed so often in a row, or asked."""
    if failures < FREE_FAILURES:
        return asked
    doublings = min(failures - FREE_FAILURES, 10)
    usual = now + min(PAUSES[0] * (1 << doublings), LONGEST_REST)
    return usual if asked is None else max(usual, asked)


def is_hopeless(failing_since: datetime | None, *, now: datetime) -> bool:
    """Whether an endpoint has failed for so long that it is switched off."""
    return failing_since is not None and now - failing_since >= DISABLED_AFTER
