"""Which pushes came lately: 72 hours in Redis, so that repeats cost nothing.

It is only quicker than the ledger of keys, never wiser: an entry is written once the events of the
push are in the inbox, and without Redis the ledger judges alone. What could not be mapped is not
remembered, so that a sender may simply send it again.
"""

from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

import redis
import structlog

from aforo import valkey

KEPT_SECONDS = 72 * 3600
log = structlog.get_logger(__name__)


def name_of(source_id: UUID, document: bytes, header_id: str) -> str:
    """Where a push is remembered: by all that it says, and by the id in a header if one counts.

    Not by its id alone: another push under the same id goes to the ledger, and is seen there.
    """
    digest = blake2b(header_id.encode() + b"\n" + document, digest_size=16).hexdigest()
    return f"webhook:{source_id}:{digest}"


def is_remembered(name: str) -> bool:
    """Whether it is known; nothing is when Redis is away."""
    try:
        return bool(valkey.client().exists(name))
    except redis.RedisError:
        return False


def remember(names: Sequence[str]) -> None:
    """Note pushes whose events are on disk. May be lost."""
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.set(name, 1, ex=KEPT_SECONDS, nx=True)
            pipeline.execute()
    except redis.RedisError:
        log.warning("webhook_memory_away")
