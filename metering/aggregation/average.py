"""AVG: the sum of quantities over the number of events; zero without any."""

from decimal import Decimal
from typing import Any, Self

from aforo.money import EXACT, ZERO, divide, plain
from metering.aggregation.measure import Measure, Span, State


class Average(Measure):
    """Exact at any moment: what is rounded (to 12 decimals) is the quotient alone."""

    __slots__ = ("_count", "_sum")

    def __init__(self, total: Decimal, count: int) -> None:
        self._sum, self._count = total, count

    @classmethod
    def from_state(cls, state: Any, *, span: Span, carried: Any = None) -> Self:  # noqa: ARG003 - as all
        if not state:
            return cls(ZERO, 0)
        return cls(Decimal(state["sum"]), state["count"])

    def state(self) -> State:
        return {"sum": plain(self._sum), "count": self._count}

    @property
    def quantity(self) -> Decimal:
        return divide(self._sum, Decimal(self._count)) if self._count else ZERO

    def add(self, moment: int, key: str, quantity: Decimal) -> Decimal:
        self._sum = EXACT.add(self._sum, quantity)
        self._count += 1
        return self.quantity

    def remove(self, moment: int, key: str, quantity: Decimal) -> bool:
        self._sum = EXACT.subtract(self._sum, quantity)
        self._count -= 1
        return True
