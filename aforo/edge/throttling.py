"""Which calls of a throttled customer pass: so many of a hundred, or so many a second.

By counting, not by chance: of any hundred calls in a row exactly the rate passes, evenly spread.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from metering.entitlements.state import MarginState

MOST_COUNTED = 50_000
HUNDRED = 100


class _Count(NamedTuple):
    calls: int = 0
    tokens: float = 1.0
    at: float = 0.0


class Throttle:
    """Counts of one process; `monotonic` in seconds."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counts: dict[object, _Count] = {}
        self._lock = Lock()

    def lets_pass(self, who: object, margin: MarginState) -> bool:
        """Whether this call is one of those that pass; everybody's is unless throttled."""
        if margin.level != "L2_THROTTLE":
            return True
        with self._lock:
            if who not in self._counts and len(self._counts) >= MOST_COUNTED:
                self._counts.clear()
            before = self._counts.get(who, _Count(at=self._monotonic()))
            after, passes = self._next(before, margin)
            self._counts[who] = after
            return passes

    def _next(self, before: _Count, margin: MarginState) -> tuple[_Count, bool]:
        calls, now, tokens = before.calls + 1, self._monotonic(), before.tokens
        percent = margin.throttle_rate
        passes = calls * percent // HUNDRED > before.calls * percent // HUNDRED
        if margin.requests_per_second is not None:
            rate = float(margin.requests_per_second)
            tokens = min(tokens + (now - before.at) * rate, max(rate, 1.0))
            passes = passes and tokens >= 1.0
            tokens -= passes
        return _Count(calls, tokens, now), passes
