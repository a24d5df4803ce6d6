"""Proof of usage: every event is hashed, and every running total chains the hashes of its events.

An auditor repeats all of it with the standard library: the canonical bytes are what
`json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()` gives, the hash is
`hmac.digest(key, canonical, "sha256")`, the chain is `sha256(previous + event_hash)`.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

HASHED_COLUMNS: Final = (
    "running_total_id",
    "position",
    "plan_version_id",
    "subscription_id",
    "customer_id",
    "unit_id",
    "metric",
    "idempotency_key",
    "quantity",
    "revenue",
    "cost",
    "occurred_at",
    "received_at",
    "late",
    "product_type",
    "session_id",
    "agent_id",
    "tool_name",
    "trace_id",
    "metadata",
    "source",
    "batch_id",
    "batch_index",
)
"""The columns of a usage event in the order in which they are hashed: never reorder, only append
under a new scheme, or every issued invoice stops verifying."""

START: Final = bytes(32)
"""The digest of a total that has no events yet."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BLOCK = 64  # of SHA-256, in bytes: what HMAC pads its key to
_INNER = bytes(byte ^ 0x36 for byte in range(256))  # the two pads of RFC 2104
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_encode = msgspec.json.Encoder().encode  # measured 0.3-0.5 us; json.dumps 2.9 us


def total_key(secret: bytes, running_total_id: int) -> bytes:
    """The key of one total's event hashes: disclosing it lets nobody forge another total."""
    return hmac.digest(secret, b"running_total:%d" % running_total_id, "sha256")


def canonical(values: tuple[object, ...]) -> bytes:
    """The bytes that are hashed: `values` in the order of HASHED_COLUMNS, as one JSON array.

    Decimals as `aforo.money.plain` text, times as `microseconds`, UUIDs as UUID or their text,
    absent values as None. JSON keeps None, "" and "null" apart and no value can spill into the
    next one, so two different rows never share their bytes.
    """
    return _encode(values)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, which is the precision that PostgreSQL stores."""
    return (moment - _EPOCH) // _MICROSECOND


def event_hash(key: bytes, canonical_bytes: bytes) -> bytes:
    """HMAC-SHA256 of one event under the key of its total."""
    return hmac.digest(key, canonical_bytes, "sha256")


def chain(previous: bytes, hashed: bytes) -> bytes:
    """The digest after one more event."""
    return hashlib.sha256(previous + hashed).digest()


class Chain:
    """The digest of one total while its events are appended, for the drain and for replays.

    Says the same as `chain(digest, event_hash(key, ...))` event by event, in half the time: the
    two padded keys of HMAC are hashed once and copied (measured 1.0 us against 2.0 us).
    """

    __slots__ = ("_inner", "_outer", "digest")

    def __init__(self, key: bytes, digest: bytes = START) -> None:
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))
        self.digest = digest

    def append(self, canonical_bytes: bytes) -> bytes:
        """Add one event and return the digest after it."""
        inner = self._inner.copy()
        inner.update(canonical_bytes)
        outer = self._outer.copy()
        outer.update(inner.digest())
        self.digest = digest = hashlib.sha256(self.digest + outer.digest()).digest()
        return digest
