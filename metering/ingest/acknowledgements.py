"""How long the doors take to acknowledge what they made durable, by tenant, over the last hour.

Each process counts in buckets that grow by a fifth and tells Redis once a second, in a thread of
its own: a request pays about a microsecond and never waits. What a killed process had not told is
lost; so is everything when Redis is emptied. Figures for people, not for invoices.
"""

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Timer
from types import TracebackType
from typing import Self
from uuid import UUID

import redis

from aforo import valkey
from aforo.errors import TooMany
from metering.selectors.ingestion import Health, Source

TELL_EVERY = 1.0  # seconds
KEPT_SECONDS = 2 * 3600
MINUTES = 60
MILLISECONDS = 1000
BOUNDS = tuple(0.0001 * 1.2**step for step in range(64))  # seconds: 0.1 ms to 10 s
_SLOWER = len(BOUNDS)  # the bucket of what took longer than all of them
_THROTTLED = _SLOWER + 1
_MICROSECONDS = _SLOWER + 2


class Acknowledgements:
    """What one process has measured and not told yet."""

    def __init__(self) -> None:
        self._counts: dict[UUID, list[int]] = {}
        self._timer: Timer | None = None

    def note(self, tenant_id: UUID, seconds: float) -> None:
        counts = self._of(tenant_id)
        counts[bisect_left(BOUNDS, seconds)] += 1
        counts[_MICROSECONDS] += int(seconds * 1_000_000)

    def note_throttled(self, tenant_id: UUID) -> None:
        """A request that was told to come again later."""
        self._of(tenant_id)[_THROTTLED] += 1

    def tell(self) -> None:
        """Add what was measured to what Redis holds of this minute. Never raises."""
        self._timer = None
        counts, self._counts = self._counts, {}
        minute = int(time.time() // 60)
        try:
            with valkey.client().pipeline(transaction=False) as pipeline:
                for tenant_id, buckets in counts.items():
                    name = _name(tenant_id, minute)
                    for bucket, count in enumerate(buckets):
                        if count:
                            pipeline.hincrby(name, str(bucket), count)
                    pipeline.expire(name, KEPT_SECONDS)
                pipeline.execute()
        except redis.RedisError:
            return

    def _of(self, tenant_id: UUID) -> list[int]:
        if self._timer is None:
            self._timer = Timer(TELL_EVERY, self.tell)
            self._timer.daemon = True
            self._timer.start()
        counts = self._counts.get(tenant_id)
        if counts is None:
            counts = self._counts[tenant_id] = [0] * (_MICROSECONDS + 1)
        return counts


ACKNOWLEDGEMENTS = Acknowledgements()
"""Those of this process."""


class Measured:
    """Around what a door does with one request of a tenant."""

    __slots__ = ("_since", "_tenant_id")

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id

    def __enter__(self) -> Self:
        self._since = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            ACKNOWLEDGEMENTS.note(self._tenant_id, time.perf_counter() - self._since)
        elif issubclass(kind, TooMany):
            ACKNOWLEDGEMENTS.note_throttled(self._tenant_id)


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds until a request was durable, over an hour; None where nothing was measured."""

    requests: int
    average: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    throttled: int  # requests of the last five minutes that were sent away


def latency_of(tenant_id: UUID, *, minute: int) -> Latency:
    """The hour that ends with `minute` (counted since 1970); nothing while Redis is away."""
    names = [_name(tenant_id, minute - back) for back in range(MINUTES)]
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hgetall(name)
            hashes: list[dict[bytes, bytes]] = pipeline.execute()
    except redis.RedisError:
        hashes = []
    counts = [0] * (_MICROSECONDS + 1)
    throttled = 0
    for back, found in enumerate(hashes):
        for bucket, count in found.items():
            counts[int(bucket)] += int(count)
        throttled += int(found.get(b"%d" % _THROTTLED, 0)) if back <= 5 else 0  # noqa: PLR2004
    return _summed(counts, throttled)


def _summed(counts: Sequence[int], throttled: int) -> Latency:
    buckets = counts[: _SLOWER + 1]
    requests = sum(buckets)
    average = counts[_MICROSECONDS] / requests / 1_000_000 if requests else None
    p50, p95, p99 = (_quantile(buckets, requests * share) for share in (0.5, 0.95, 0.99))
    return Latency(requests, average, p50, p95, p99, throttled)


def _quantile(buckets: Sequence[int], rank: float) -> float | None:
    """The upper bound of the bucket in which the request of this rank lies: never too good."""
    reached = 0
    for bound, count in zip((*BOUNDS, BOUNDS[-1]), buckets, strict=True):
        reached += count
        if count and reached >= rank:
            return bound
    return None


def _name(tenant_id: UUID, minute: int) -> str:
    return f"ack:{tenant_id}:{minute}"


def health_of(source: Source, latency: Latency) -> Health:
    """THROTTLED while a sender by key is sent away: limits know keys and tenants, not routes."""
    is_limited = bool(latency.throttled) and source.key_id is not None
    return Health.THROTTLED if is_limited else source.health


def in_milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * MILLISECONDS, 2)
