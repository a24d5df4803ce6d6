"""What an edge has read of late, and when: enough to answer again while Redis is away.

Times are those of a monotonic clock, in seconds.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from metering.entitlements.reading import Asking

MOST_REMEMBERED = 50_000  # of each kind; a customer takes a kilobyte or two
MOST_STRANGERS = 1_000  # names of nobody: anybody can think of more
Value = TypeVar("Value")
Named = tuple[bytes, str]  # id of a tenant, name; hashed without Python, so that threads share them
Found = tuple[Sequence[Any], Sequence[Any]]  # the settings of a tenant, the hash of a customer


class Read(NamedTuple, Generic[Value]):
    """A value, and since when it is known to hold."""

    at: float
    value: Value


@dataclass(slots=True)
class Memory:
    """Keys by digest, tenants by name, and by tenant and name of a customer what Redis said.

    `strangers` are apart, so that no number of them drives a customer out.
    """

    keys: OrderedDict[bytes, Read[Asking]] = field(default_factory=OrderedDict)
    tenants: OrderedDict[str, Read[Asking]] = field(default_factory=OrderedDict)
    customers: OrderedDict[Named, Read[Found]] = field(default_factory=OrderedDict)
    strangers: OrderedDict[Named, Read[Found]] = field(default_factory=OrderedDict)
    revoked: set[bytes] = field(default_factory=set)

    def learn(self, named: Named, read: Read[Found], *, is_known: bool) -> None:
        """What was read of a name. Who was a customer once is none of the strangers."""
        if is_known or named in self.customers:
            remember(self.customers, named, read, most=MOST_REMEMBERED)
            self.strangers.pop(named, None)
        else:
            remember(self.strangers, named, read, most=MOST_STRANGERS)

    def revoke(self, digest: bytes) -> None:
        """A key never opens anything again: whatever is read from now on, it was read before."""
        if len(self.revoked) >= MOST_REMEMBERED:
            self.revoked.clear()
        self.revoked.add(digest)
        self.keys.pop(digest, None)


def recall(known: OrderedDict[Any, Read[Value]], name: object) -> Read[Value] | None:
    """What is remembered; being asked for keeps it."""
    read = known.get(name)
    with suppress(KeyError):  # not there, or driven out by another thread meanwhile
        known.move_to_end(name)
    return read


def remember(
    known: OrderedDict[Any, Read[Value]], name: object, read: Read[Value], *, most: int
) -> None:
    """Keep what was read; whatever was not asked for longest goes when there is too much."""
    known[name] = read
    with suppress(KeyError):  # another thread was faster, and has made room
        known.move_to_end(name)
        while len(known) > most:
            known.popitem(last=False)
