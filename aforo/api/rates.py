"""Rates of API keys: counted in process, put together with the other processes once a second.

A key without a limit costs nothing here. Redis away means not limited: a limit protects us from a
sender that runs wild, it is no promise to anybody.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import redis

from aforo import valkey
from aforo.errors import TooMany

WINDOW_SECONDS = 60
SYNC_SECONDS = 1.0
MAX_KEYS = 10_000  # with a limit and in use in one minute, per process


@dataclass(frozen=True, slots=True)
class Rate:
    """Where a limited key stands in the current minute."""

    limit: int
    used: int
    resets_at: int  # seconds since 1970

    @property
    def headers(self) -> dict[str, str]:
        """What every answer to a limited key says."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(self.resets_at),
            "X-RateLimit-Window": str(WINDOW_SECONDS),
        }


class RateExceeded(TooMany):
    """The key has used up its minute; `rate` says when it may come again."""

    def __init__(self, rate: Rate, *, now: float) -> None:
        wait = max(1, int(rate.resets_at - now) + 1)
        super().__init__(
            f"this key may send {rate.limit} in {WINDOW_SECONDS} seconds", retry_after=wait
        )
        self.rate = rate


@dataclass(slots=True)
class _Minute:
    """What one key used: by all processes when they were last asked, and here since then."""

    number: int
    shared: int = 0
    own: int = 0
    asked_at: float = float("-inf")


class Rates:
    """The counts of one process. `clock` is seconds since 1970, `ticks` never goes back."""

    def __init__(
        self, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._ticks = ticks
        self._minutes: dict[UUID, _Minute] = {}
        self._lock = threading.Lock()

    def require(self, key_id: UUID, limit: int | None) -> None:
        """Raise RateExceeded when the key has used up its minute.

        The request that crosses the limit passes whole: it may be larger than any rest.
        """
        rate = self.rate_of(key_id, limit)
        if rate is not None and rate.used >= rate.limit:
            raise RateExceeded(rate, now=self._clock())

    def rate_of(self, key_id: UUID, limit: int | None) -> Rate | None:
        """Where the key stands; None when nothing limits it."""
        return None if limit is None else self._rate(key_id, limit, 0)

    def add(self, key_id: UUID, limit: int | None, count: int) -> Rate | None:
        """Count what was let in; where the key stands after it."""
        return None if limit is None else self._rate(key_id, limit, count)

    def _rate(self, key_id: UUID, limit: int, count: int) -> Rate:
        number = int(self._clock() // WINDOW_SECONDS)
        with self._lock:
            minute = self._minute(key_id, number)
            minute.own += count
            if self._ticks() - minute.asked_at >= SYNC_SECONDS:
                self._put_together(key_id, minute)
            return Rate(limit, minute.shared + minute.own, (number + 1) * WINDOW_SECONDS)

    def _minute(self, key_id: UUID, number: int) -> _Minute:
        minute = self._minutes.get(key_id)
        if minute is None or minute.number != number:
            if len(self._minutes) >= MAX_KEYS:
                self._minutes.clear()
            minute = self._minutes[key_id] = _Minute(number)
        return minute

    def _put_together(self, key_id: UUID, minute: _Minute) -> None:
        """Tell Redis what was used here, and hear what was used everywhere."""
        name = f"rate:{key_id}:{minute.number}"
        minute.asked_at = self._ticks()
        try:
            with valkey.client().pipeline() as pipeline:
                pipeline.incrby(name, minute.own)
                pipeline.expire(name, 2 * WINDOW_SECONDS)
                minute.shared = pipeline.execute()[0]
        except redis.RedisError:
            minute.shared = 0  # nobody is limited while nobody can count
        minute.own = 0


RATES = Rates()
"""The one of this process."""
