"""Contracts behind the process: Redis for ten minutes, then the database.

The catalog's version is part of the key, so a stale contract is never found, only forgotten; so
is the day from which on it holds periods.
"""

from collections.abc import Collection
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import msgspec
import redis

from aforo import valkey
from catalog.selectors.contracts import CustomerContract, contracts_of

SECONDS = 600
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CustomerContract)


def contracts(
    tenant_id: UUID, version: int, names: Collection[str], *, since: datetime
) -> dict[str, CustomerContract]:
    """The contracts of customers by name; unknown names are absent. Redis may be down."""
    prefix = f"contract:2:{tenant_id}:{version}:{since:%Y%m%d}"
    found = _remembered(prefix, names)
    missing = [name for name in names if name not in found]
    if missing:
        read = contracts_of(tenant_id, missing, since=since)
        _remember(prefix, read)
        found |= read
    return found


def _key(prefix: str, name: str) -> str:
    hashed = blake2b(name.encode(), digest_size=16).hexdigest()  # a name may be a secret
    return f"{prefix}:{hashed}"


def _remembered(prefix: str, names: Collection[str]) -> dict[str, CustomerContract]:
    """What can be read of it: a value of another release's shape is none."""
    try:
        keys = [_key(prefix, name) for name in names]
        values: list[bytes | None] = valkey.client().mget(keys)  # type: ignore[assignment]
        return {
            name: _decoder.decode(value)
            for name, value in zip(names, values, strict=True)
            if value is not None
        }
    except (redis.RedisError, msgspec.MsgspecError):
        return {}


def _remember(prefix: str, read: dict[str, CustomerContract]) -> None:
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for name, contract in read.items():
                pipeline.set(_key(prefix, name), _encoder.encode(contract), ex=SECONDS)
            pipeline.execute()
    except redis.RedisError:
        return
