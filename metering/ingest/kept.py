"""What some totals remember beside their quantity, while events are walked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from catalog.pricing import Terms, Usage
from metering.aggregation import Measure, key_hash, measure_of
from metering.aggregation.state import level_in, read, state_of, usage_in
from metering.ingest.arrivals import Arrival
from metering.ingest.targets import Target, fields_of
from metering.ingest.totals import Total
from metering.proof import microseconds

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Kept:
    """A total's state as values. `usage` is None where terms look at no parts."""

    terms: Terms
    measure: Measure | None
    usage: Usage | None

    def levels(self, arrivals: Sequence[Arrival]) -> Iterator[Decimal]:
        """The quantity after each event."""
        assert self.measure is not None  # noqa: S101 - the caller looked
        for arrival in arrivals:
            yield self.measure.add(*placed(arrival))

    def add(self, arrival: Arrival, step: Decimal) -> Usage:
        """The usage after an event that moves the quantity by `step`."""
        assert self.usage is not None  # noqa: S101 - the caller looked
        self.usage = self.terms.add(self.usage, self.terms.part_of(step, fields_of(arrival)))
        return self.usage

    def text(self) -> str | None:
        """The state as JSON, as it is stored."""
        state = state_of(self.measure, None if self.usage is None else self.usage.parts)
        return None if state is None else _encode(state).decode()


def kept_by(target: Target, terms: Terms, total: Total) -> Kept | None:
    """None for the many totals whose quantity says everything."""
    if target.is_plain:
        return None
    aggregation = target.unit.aggregation
    state = read(total.state)
    measure = measure_of(aggregation, level_in(state), span=target.span, carried=total.carried)
    usage = usage_in(total.quantity, total.event_count, state) if terms.keeps_parts else None
    return Kept(terms, measure, usage)


def placed(arrival: Arrival) -> tuple[int, str, Decimal]:
    """An event as measures take it."""
    return microseconds(arrival.occurred), key_hash(arrival.key), arrival.event.quantity
