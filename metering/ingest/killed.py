"""Killed sessions, as the door tells them: within a second of the kill, at almost no cost.

The rows of `sessions` are the truth. Redis only says that something changed, so it may be emptied
or away: then the rows are read once a second, and what was last known is told when they cannot be.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import redis
import structlog
from django.db import DatabaseError, InterfaceError, connection

from aforo import valkey
from aforo.ids import new_id
from aforo.tenancy.clock import NOW_SQL

ASK_EVERY = 1.0  # seconds; one GET by a process, and only when a request names a session
READ_EVERY = 30.0  # seconds without a change; also drops those that nobody has seen for a day
SILENCE = 5.0  # seconds without a try after Redis did not answer
MAX_TENANTS = 10_000
_VERSION = "sessions:killed"
_KILLED = f"""
    SELECT s.session_id FROM sessions s JOIN tenants t ON t.id = s.tenant_id
    WHERE s.tenant_id = %s AND s.killed_at IS NOT NULL
      AND greatest(s.last_seen_at, s.killed_at) > {NOW_SQL} - interval '24 hours'
"""  # noqa: S608 - our own constant
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    version: bytes | None
    read_at: float
    session_ids: frozenset[str]


class KilledSessions:
    """What one process knows of them."""

    def __init__(self) -> None:
        self._version: bytes | None = None  # None: Redis is away
        self._ask_at = 0.0
        self._known: dict[UUID, _Known] = {}

    def forget_everything(self) -> None:
        """As a process that has just started."""
        self._ask_at = 0.0
        self._known.clear()

    def among(self, tenant_id: UUID, session_ids: Collection[str]) -> list[str]:
        """Those of the tenant's `session_ids` that were killed, sorted. Never raises."""
        if not session_ids:
            return []
        now = time.monotonic()
        if now >= self._ask_at:
            self._ask(now)
        return sorted(self._of(tenant_id, now).intersection(session_ids))

    def _ask(self, now: float) -> None:
        self._ask_at = now + ASK_EVERY
        try:
            answer: bytes | None = valkey.client().get(_VERSION)  # type: ignore[assignment]
        except redis.RedisError:
            self._version, self._ask_at = None, now + SILENCE
        else:
            self._version = answer or b""

    def _of(self, tenant_id: UUID, now: float) -> frozenset[str]:
        known = self._known.get(tenant_id)
        if known is not None and known.version == self._version:
            age = now - known.read_at
            if age < (ASK_EVERY if self._version is None else READ_EVERY):
                return known.session_ids
        try:
            read = _read(tenant_id)
        except (DatabaseError, InterfaceError) as error:
            log.warning("killed_sessions_unknown", error=str(error))
            return known.session_ids if known else frozenset()
        if len(self._known) >= MAX_TENANTS:
            self._known.clear()
        self._known[tenant_id] = _Known(self._version, now, read)
        return read


_sessions = KilledSessions()
killed_among = _sessions.among
forget_everything = _sessions.forget_everything


def announce() -> None:
    """Tell every door that a session was killed; call it after the commit. Never raises."""
    try:
        valkey.client().set(_VERSION, new_id().bytes)
    except redis.RedisError as error:
        log.warning("kill_not_announced", error=str(error))  # doors read again by themselves


def _read(tenant_id: UUID) -> frozenset[str]:
    with connection.cursor() as cursor:
        cursor.execute(_KILLED, (tenant_id,))
        return frozenset(session_id for (session_id,) in cursor.fetchall())
