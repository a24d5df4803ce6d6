"""The usage of a total while events are added to it, and taken back."""

from collections import Counter
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import NamedTuple

from aforo.money import EXACT, ZERO
from catalog.models.billable_units import Aggregation
from catalog.pricing import FREE, Terms, Usage
from metering.aggregation import Latest, Measure, Span, measure_of

ONE = Decimal(1)


class Counted(NamedTuple):
    """What aggregations and terms look at in one event; `value` is the hash that UNIQUE counts."""

    quantity: Decimal
    value: str | None = None
    moment: int = 0
    key: str = ""
    fields: Mapping[str, object] | None = None


class Level:
    """How much a total stands at. `count` is of events that stand.

    Constant memory, but for UNIQUE, which has to know its values, and for MAX and LATEST where
    anything is taken back (`remembers`): then they have to know what stands.
    """

    def __init__(
        self, aggregation: str, *, remembers: bool, terms: Terms = FREE, span: Span = (0, 1)
    ) -> None:
        self._aggregation, self._terms, self._span = aggregation, terms, span
        self._remembers = remembers
        self._standing: Counter[Counted] = Counter()
        self._values: Counter[str] = Counter()
        self._carried: Decimal | None = None
        self._begun: frozenset[str] = frozenset()  # values of UNIQUE that were carried over
        self._measure = measure_of(self._aggregation, None, span=span)
        self._parts = Usage(ZERO)
        self.quantity = ZERO
        self.count = 0

    @property
    def usage(self) -> Usage:
        """What terms charge."""
        return Usage(self.quantity, self.count, self._parts.parts)

    def begin_with(self, carried: Decimal | None, values: Collection[str] = ()) -> None:
        """The level that the period before ended with, and what UNIQUE had seen by then."""
        begun = frozenset(values)
        if (carried, begun) == (self._carried, self._begun):
            return
        before, self._carried = self._carried or ZERO, carried
        self._values.update(begun - self._begun)
        self._values -= Counter(self._begun - begun)
        self._begun = begun
        if self._measure is not None:
            state = self._measure.state()
            # Without an event it has no state of its own, and stands at what was carried.
            self._measure = measure_of(self._aggregation, state, span=self._span, carried=carried)
        match self._aggregation:
            case Aggregation.SUM:
                step = EXACT.subtract(carried or ZERO, before)
                self.quantity = EXACT.add(self.quantity, step)
            case Aggregation.MAX:
                self.quantity = max(self.quantity, carried or ZERO)
            case Aggregation.UNIQUE:
                self.quantity = Decimal(len(self._values))
            case _ if self._measure is not None:
                self.quantity = self._measure.quantity

    def told(self, quantity: Decimal) -> None:
        """A bill run has told the quantity from all events; later ones go on from there."""
        self.quantity = quantity

    def add(self, event: Counted) -> None:
        """One event more."""
        self.count += 1
        before = self.quantity
        match self._aggregation:
            case Aggregation.COUNT:
                self.quantity = EXACT.add(before, ONE)
            case Aggregation.SUM:
                self.quantity = EXACT.add(before, event.quantity)
            case Aggregation.MAX:
                self.quantity = max(before, event.quantity)
            case Aggregation.UNIQUE:
                self._values[event.value or ""] += 1
                self.quantity = Decimal(len(self._values))
            case _:
                self.quantity = self._of_measure().add(event.moment, event.key, event.quantity)
        if self._remembers and self._aggregation in {Aggregation.MAX, Aggregation.LATEST}:
            self._standing[event._replace(fields=None)] += 1
        if self._terms.keeps_parts:
            step = EXACT.subtract(self.quantity, before)
            part = self._terms.part_of(step, event.fields or {})
            self._parts = self._terms.add(self._parts, part)

    def take_back(self, event: Counted) -> None:
        """One event less, which had been added."""
        self.count -= 1
        before = self.quantity
        match self._aggregation:
            case Aggregation.COUNT:
                self.quantity = EXACT.subtract(before, ONE)
            case Aggregation.SUM:
                self.quantity = EXACT.subtract(before, event.quantity)
            case Aggregation.UNIQUE:
                self._values -= Counter([event.value or ""])
                self.quantity = Decimal(len(self._values))
            case Aggregation.MAX:
                self._forget(event)
                sizes = (one.quantity for one in self._standing)
                self.quantity = max(sizes, default=ZERO)
                self.quantity = max(self.quantity, self._carried or ZERO)
            case _:
                self._forget(event)
                if not self._of_measure().remove(event.moment, event.key, event.quantity):
                    self._measure = self._from_the_last_standing()
                self.quantity = self._of_measure().quantity
        if self._terms.keeps_parts:
            step = EXACT.subtract(before, self.quantity)
            part = self._terms.part_of(step, event.fields or {})
            self._parts = self._terms.remove(self._parts, part)

    def _forget(self, event: Counted) -> None:
        self._standing -= Counter([event._replace(fields=None)])

    def _of_measure(self) -> Measure:
        if self._measure is None:
            raise ValueError(f"no arithmetic for aggregation {self._aggregation}")
        return self._measure

    def _from_the_last_standing(self) -> Measure:
        measure = Latest.from_state(None, span=self._span, carried=self._carried)
        for event in self._standing:
            measure.add(event.moment, event.key, event.quantity)
        return measure
