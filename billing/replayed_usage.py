"""The usage of a running total as it stood at one position, told from stored events alone.

Exact for every aggregation, at the price of memory where an exact figure needs it: the values of
UNIQUE, and the quantities of PERCENTILE_95 and WEIGHTED_SUM.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, ZERO
from catalog.models import BillableUnit
from catalog.models.billable_units import Aggregation
from catalog.pricing import FREE, Terms, Usage
from metering.aggregation import Weighted, key_hash, measure_of, nearest_rank
from metering.aggregation.measure import Span
from metering.aggregation.weighted import Change
from metering.proof import microseconds
from metering.selectors.corrections import VOID
from metering.selectors.events import CountedEvent

ONE = Decimal(1)
_LISTED = (Aggregation.PERCENTILE_95, Aggregation.WEIGHTED_SUM)  # exact from all events only


@dataclass(frozen=True, slots=True)
class Counting:
    """How events of a total become usage: what is counted, by whose terms, from where.

    `terms` matter to models that keep parts of single events, `span` (the period, in microseconds)
    to levels that are held over time, what was carried to recurring units. A span that `adjusts`
    adds to what was billed, any other bills what was carried too.
    """

    unit: BillableUnit
    terms: Terms = FREE
    span: Span = (0, 1)
    carried: Decimal | None = None
    carried_values: Collection[str] = ()
    adjusts: bool = False


class UsageAt:
    """Takes the events of a total in their order, and holds its usage at position `at`."""

    def __init__(self, counting: Counting, voids: Mapping[int, int], *, at: int) -> None:
        self._counting, self._voids, self._at = counting, voids, at
        self._aggregation = counting.unit.aggregation
        self._quantity = (
            ZERO if self._aggregation == Aggregation.COUNT else counting.carried or ZERO
        )
        self._values = set(counting.carried_values)
        self._measure = (
            None
            if self._aggregation in _LISTED
            else measure_of(self._aggregation, None, span=counting.span, carried=counting.carried)
        )
        self._changes: list[Change] = []
        self._parts = Usage(ZERO)
        self._count = 0

    def add(self, event: CountedEvent) -> None:
        """Take the event in, if it had come by then and was not taken back by then."""
        if event.position > self._at or event.source == VOID:
            return
        if self._voids and self._voids.get(event.position, self._at + 1) <= self._at:
            return
        self._count += 1
        step = self._step(event)
        self._quantity = EXACT.add(self._quantity, step)
        terms = self._counting.terms
        if terms.keeps_parts:
            fields = event.fields() if terms.part_keys else {}
            self._parts = terms.add(self._parts, terms.part_of(step, fields))

    @property
    def usage(self) -> Usage:
        """Where the total stood."""
        return Usage(self._exact_quantity(), self._count, self._parts.parts)

    def _step(self, event: CountedEvent) -> Decimal:
        """What the event adds to the quantity; zero where only all of them together tell."""
        match self._aggregation:
            case Aggregation.COUNT:
                return ONE
            case Aggregation.SUM:
                return event.quantity
            case Aggregation.MAX:
                return max(ZERO, EXACT.subtract(event.quantity, self._quantity))
            case Aggregation.UNIQUE:
                return self._new_value(event)
        change = (microseconds(event.occurred_at), key_hash(event.idempotency_key), event.quantity)
        if self._measure is None:
            self._changes.append(change)
            return ZERO
        return EXACT.subtract(self._measure.add(*change), self._quantity)

    def _new_value(self, event: CountedEvent) -> Decimal:
        value = event.value_of(self._counting.unit.event_field)
        if value in self._values:
            return ZERO
        self._values.add(value)
        return ONE

    def _exact_quantity(self) -> Decimal:
        match self._aggregation:
            case Aggregation.PERCENTILE_95:
                return nearest_rank(sorted(quantity for _, _, quantity in self._changes))
            case Aggregation.WEIGHTED_SUM:
                carried = self._counting.carried or ZERO
                changes = sorted(self._changes)
                span = self._counting.span
                return Weighted(span=span, carried=carried, changes=changes).quantity
        return self._quantity
