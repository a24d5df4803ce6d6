"""What all of them share: an event is a moment, the hash of its key and a quantity."""

from abc import ABC, abstractmethod
from decimal import Decimal
from hashlib import sha256
from typing import Any, Self

Span = tuple[int, int]
"""A period's start and end, in microseconds since 1970."""
State = dict[str, Any]
"""What is stored with a total, as JSON holds it: Decimals as text."""

_HASHED = 8  # bytes: ties of two events at one instant are all that it breaks


def key_hash(key: str) -> str:
    """The hash of an idempotency key that breaks ties, as PostgreSQL's sha256 gives it too."""
    return sha256(key.encode()).digest()[:_HASHED].hex()


class Measure(ABC):
    """The quantity of a total while events come and are taken back, in whatever order."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def from_state(cls, state: Any, *, span: Span, carried: Any = None) -> Self:
        """As it was stored; None is a total without events.

        `carried` is the level that a recurring unit starts the period `span` with, None: none.
        """

    @abstractmethod
    def state(self) -> State:
        """What `from_state` needs to go on."""

    @property
    @abstractmethod
    def quantity(self) -> Decimal:
        """Where it stands."""

    @abstractmethod
    def add(self, moment: int, key: str, quantity: Decimal) -> Decimal:
        """One event more, `key` being its hash; the quantity after it."""

    @abstractmethod
    def remove(self, moment: int, key: str, quantity: Decimal) -> bool:
        """One event less, which was added before; False: it has to be told from those that stand.

        Nothing has changed then.
        """
