"""The quantity of a total while events are added to it, and taken back."""

from collections import Counter
from decimal import Decimal

from aforo.money import EXACT, ZERO
from catalog.models import BillableUnit
from catalog.models.billable_units import Aggregation

ONE = Decimal(1)


class Level:
    """How much a total stands at. `count` is of events that stand.

    Constant memory, but for UNIQUE, which has to know its values, and for MAX where anything is
    taken back (`remembers`): then it has to know the sizes that stand.
    """

    def __init__(self, unit: BillableUnit, *, remembers: bool) -> None:
        self._aggregation = unit.aggregation
        self._remembers = remembers
        self._sizes: Counter[Decimal] = Counter()
        self._values: Counter[str] = Counter()
        self.quantity = ZERO
        self.count = 0

    def add(self, quantity: Decimal, value: str | None) -> None:
        """One event more; `value` is the hash of what UNIQUE counts."""
        self.count += 1
        match self._aggregation:
            case Aggregation.COUNT:
                self.quantity = EXACT.add(self.quantity, ONE)
            case Aggregation.SUM:
                self.quantity = EXACT.add(self.quantity, quantity)
            case Aggregation.MAX:
                self.quantity = max(self.quantity, quantity)
                if self._remembers:
                    self._sizes[quantity] += 1
            case Aggregation.UNIQUE:
                self._values[value or ""] += 1
                self.quantity = Decimal(len(self._values))
            case unknown:
                raise ValueError(f"no arithmetic for aggregation {unknown}")

    def take_back(self, quantity: Decimal, value: str | None) -> None:
        """One event less, which had been added with this quantity and value."""
        self.count -= 1
        match self._aggregation:
            case Aggregation.COUNT:
                self.quantity = EXACT.subtract(self.quantity, ONE)
            case Aggregation.SUM:
                self.quantity = EXACT.subtract(self.quantity, quantity)
            case Aggregation.MAX:
                self._sizes -= Counter([quantity])
                self.quantity = max(self._sizes, default=ZERO)
            case _:
                self._values -= Counter([value or ""])
                self.quantity = Decimal(len(self._values))
