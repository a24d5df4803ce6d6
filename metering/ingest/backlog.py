"""Backpressure: what waits in the inbox is measured by the sweep and told to the doors by Redis.

Nothing that was accepted is lost, however long the inbox; but whoever sends faster than events
are counted hears of it before the disk is full. Redis away, or nobody measuring: doors stay open.
"""

import time
from collections.abc import Callable
from uuid import UUID

import msgspec
import redis
from django.conf import settings
from django.db import connection

from aforo import valkey
from aforo.errors import TooMany

REDIS_KEY = "backlog"
REDIS_SECONDS = 30  # a measurement that nobody repeats is forgotten
LOOK_SECONDS = 1.0
RETRY_AFTER = 5
_NOTHING: dict[str, int] = {}
_WAITING = "SELECT tenant_id, sum(event_count)::bigint FROM inbox_batches GROUP BY tenant_id"
_decoder = msgspec.json.Decoder(dict[str, int])


def measure() -> dict[str, int]:
    """Events waiting by tenant, told to every door."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        waiting = {str(tenant_id): events for tenant_id, events in cursor.fetchall()}
    try:
        valkey.client().set(REDIS_KEY, msgspec.json.encode(waiting), ex=REDIS_SECONDS)
    except redis.RedisError:
        return waiting  # the doors find nothing there, and stay open
    return waiting


class Backlog:
    """What one process knows of the inbox, looked up at most once a second."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._looked_at = float("-inf")
        self._waiting = _NOTHING

    def require_room(self, tenant_id: UUID) -> None:
        """Raise TooMany when the tenant's events may not be longer in the inbox.

        A tenant has its own limit. When all of them together fill the inbox, only those that
        have more than their share of it are sent away.
        """
        waiting = self._current()
        own = waiting.get(str(tenant_id), 0) if waiting else 0
        if own == 0:
            return
        share = settings.INBOX_LIMIT // len(waiting)
        is_full = sum(waiting.values()) >= settings.INBOX_LIMIT and own >= share
        if is_full or own >= settings.INBOX_LIMIT_PER_TENANT:
            raise TooMany(
                f"{own} events of this tenant wait to be counted: send them a little later",
                retry_after=RETRY_AFTER,
                code="BACKLOG",
            )

    def _current(self) -> dict[str, int]:
        now = self._ticks()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._waiting = _told()
        return self._waiting


def _told() -> dict[str, int]:
    try:
        told = valkey.client().get(REDIS_KEY)
        return _decoder.decode(told) if told else _NOTHING
    except (redis.RedisError, msgspec.MsgspecError):
        return _NOTHING


BACKLOG = Backlog()
"""The one of this process."""
