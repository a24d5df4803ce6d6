"""LATEST: the quantity of the event that occurred last; of two at one instant, the higher hash."""

from decimal import Decimal
from typing import Any, Self

from aforo.money import ZERO, plain
from metering.aggregation.measure import Measure, Span, State

_BEFORE_ALL = (-(2**63), "")


class Latest(Measure):
    """Exact, and the same in whatever order events come."""

    __slots__ = ("_at", "_quantity")

    def __init__(self, at: tuple[int, str], quantity: Decimal) -> None:
        self._at, self._quantity = at, quantity

    @classmethod
    def from_state(cls, state: Any, *, span: Span, carried: Any = None) -> Self:  # noqa: ARG003 - as all
        if not state:
            return cls(_BEFORE_ALL, ZERO if carried is None else carried)
        moment, key, quantity = state["latest"]
        return cls((moment, key), Decimal(quantity))

    def state(self) -> State:
        if self._at == _BEFORE_ALL:
            return {}
        return {"latest": [*self._at, plain(self._quantity)]}

    @property
    def quantity(self) -> Decimal:
        return self._quantity

    def add(self, moment: int, key: str, quantity: Decimal) -> Decimal:
        if (moment, key) > self._at:
            self._at, self._quantity = (moment, key), quantity
        return self._quantity

    def remove(self, moment: int, key: str, quantity: Decimal) -> bool:
        return (moment, key) != self._at
