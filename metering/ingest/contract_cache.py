"""Contracts behind the process: Redis for ten minutes, then the database.

The catalog's version is part of the key, so a stale contract is never found, only forgotten.
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
    found = _remembered(tenant_id, version, names)
    missing = [name for name in names if name not in found]
    if missing:
        read = contracts_of(tenant_id, missing, since=since)
        _remember(tenant_id, version, read)
        found |= read
    return found


def _key(tenant_id: UUID, version: int, name: str) -> str:
    hashed = blake2b(name.encode(), digest_size=16).hexdigest()  # a name may be a secret
    return f"contract:{tenant_id}:{version}:{hashed}"


def _remembered(
    tenant_id: UUID, version: int, names: Collection[str]
) -> dict[str, CustomerContract]:
    try:
        keys = [_key(tenant_id, version, name) for name in names]
        values: list[bytes | None] = valkey.client().mget(keys)  # type: ignore[assignment]
    except redis.RedisError:
        return {}
    return {
        name: _decoder.decode(value)
        for name, value in zip(names, values, strict=True)
        if value is not None
    }


def _remember(tenant_id: UUID, version: int, read: dict[str, CustomerContract]) -> None:
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for name, contract in read.items():
                pipeline.set(_key(tenant_id, version, name), _encoder.encode(contract), ex=SECONDS)
            pipeline.execute()
    except redis.RedisError:
        return
