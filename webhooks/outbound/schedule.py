"""When a failed delivery is tried again, and when an endpoint is let alone."""

from collections.abc import Callable
from datetime import datetime, timedelta
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

Draw = Callable[[float, float], float]
_draw = SystemRandom().uniform


def next_attempt(step: int, *, now: datetime, draw: Draw = _draw) -> datetime | None:
    """When to try again after failure number `step` (from 0) of a round; None: not any more."""
    if step >= len(PAUSES):
        return None
    return now + PAUSES[step] * draw(1 - JITTER, 1 + JITTER)


def rest_after(failures: int, *, now: datetime) -> datetime | None:
    """Until when nothing at all is sent to an endpoint that failed so often in a row."""
    if failures < FREE_FAILURES:
        return None
    doublings = min(failures - FREE_FAILURES, 10)
    return now + min(PAUSES[0] * (1 << doublings), LONGEST_REST)


def is_hopeless(failing_since: datetime | None, *, now: datetime) -> bool:
    """Whether an endpoint has failed for so long that it is switched off."""
    return failing_since is not None and now - failing_since >= DISABLED_AFTER
