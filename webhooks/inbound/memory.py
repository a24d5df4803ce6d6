"""Which pushes came lately: 72 hours in Redis, so that repeats cost nothing.

It is only quicker than the ledger of keys, never wiser: an entry is written once its event is on
disk, and without Redis the ledger judges alone.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from uuid import UUID

import redis
import structlog

from aforo import valkey

KEPT_SECONDS = 72 * 3600
log = structlog.get_logger(__name__)


def names_of(source_id: UUID, keys: Sequence[str]) -> list[str]:
    """Where the keys of a source's events are remembered."""
    digests = (blake2b(key.encode(), digest_size=16).hexdigest() for key in keys)
    return [f"webhook:{source_id}:{digest}" for digest in digests]


def body_of(event: bytes) -> bytes:
    """What is remembered of an event: another one under its key is a conflict to be seen."""
    return blake2b(event, digest_size=16).digest()


def remembered(names: Sequence[str]) -> list[bytes | None]:
    """What is known under each name; nothing when Redis is away."""
    if not names:
        return []
    try:
        found: list[bytes | None] = valkey.client().mget(names)  # type: ignore[assignment]  # no bytes in its types
    except redis.RedisError:
        return [None] * len(names)
    return found


def remember(entries: Mapping[str, bytes]) -> None:
    """Note events that are on disk. May be lost."""
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for name, body in entries.items():
                pipeline.set(name, body, ex=KEPT_SECONDS, nx=True)
            pipeline.execute()
    except redis.RedisError:
        log.warning("webhook_memory_away")
