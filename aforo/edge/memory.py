"""What an edge has read of late, and when: enough to answer again while Redis is away.

Times are those of a monotonic clock, in seconds.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from metering.entitlements.reading import Asking

MOST_REMEMBERED = 50_000  # of each kind; a customer takes a kilobyte or two
Value = TypeVar("Value")
Found = tuple[Sequence[Any], Sequence[Any]]  # the settings of a tenant, the hash of a customer


class Read(NamedTuple, Generic[Value]):
    """A value, and since when it is known to hold."""

    at: float
    value: Value


@dataclass(slots=True)
class Memory:
    """Keys by digest, tenants by name, and by tenant and name of a customer what Redis said."""

    keys: dict[bytes, Read[Asking]] = field(default_factory=dict)
    tenants: dict[str, Read[Asking]] = field(default_factory=dict)
    customers: dict[tuple[UUID, str], Read[Found]] = field(default_factory=dict)
    revoked: set[bytes] = field(default_factory=set)

    def revoke(self, digest: bytes) -> None:
        """A key never opens anything again: whatever is read from now on, it was read before."""
        if len(self.revoked) >= MOST_REMEMBERED:
            self.revoked.clear()
        self.revoked.add(digest)
        self.keys.pop(digest, None)


def remember(known: dict[Any, Read[Value]], name: object, read: Read[Value]) -> None:
    """Keep what was read; the oldest goes when there is too much."""
    if name not in known and len(known) >= MOST_REMEMBERED:
        with suppress(RuntimeError):  # another thread was faster, and has made room
            known.pop(next(iter(known)), None)
    known[name] = read
