"""When a key was last used: gathered by the doors at almost no cost, written once in a while."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError

from aforo import valkey

NOTE_EVERY: Final = timedelta(seconds=30)  # how stale "last used" may be, per key and process
_HASH = "key_use"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class KeyUse:
    """What one process has told Redis; a door calls `note` and pays a dictionary look-up."""

    def __init__(self) -> None:
        self._told: dict[UUID, datetime] = {}
        self._silent_until = _LONG_AGO

    def note(self, key_id: UUID, now: datetime) -> None:
        """Say that a key is in use, at most every `NOTE_EVERY`; never fails, never waits twice."""
        if now - self._told.get(key_id, _LONG_AGO) < NOTE_EVERY or now < self._silent_until:
            return
        self._told[key_id] = now
        try:
            valkey.client().hset(_HASH, str(key_id), now.isoformat())
        except RedisError:
            self._silent_until = now + NOTE_EVERY


note_use = KeyUse().note


def take_uses() -> dict[UUID, datetime]:
    """What all processes have noted since the last time, and forget it."""
    with valkey.client().pipeline(transaction=True) as pipe:
        pipe.hgetall(_HASH)
        pipe.delete(_HASH)
        noted, _ = pipe.execute()
    return {
        UUID(key_id.decode()): datetime.fromisoformat(at.decode()) for key_id, at in noted.items()
    }
