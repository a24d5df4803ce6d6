"""Which events are behind an invoice line, and what they come to when they are walked again."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, ZERO
from billing.models import BillRunEventIndex
from catalog.models import BillableUnit
from catalog.models.billable_units import Aggregation
from metering import proof
from metering.selectors.events import CountedEvent, digest_before, events_of_span

ONE = Decimal(1)
Aggregate = Callable[[Decimal, CountedEvent], Decimal]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a span's stored events come to. `flaw` names the first that is not what was billed."""

    event_count: int
    quantity: Decimal
    revenue: Decimal
    digest: bytes
    flaw: str | None


def replay(span: BillRunEventIndex, *, key: bytes, unit: BillableUnit) -> Replay:
    """Walk the events of `span` in order: hash and chain them again, and aggregate them again.

    Memory does not grow with the events, but for the values that UNIQUE has to remember. `key` is
    the key of the span's total.
    """
    before = span.first_position - 1
    chain = proof.Chain(key, digest_before(span.running_total_id, span.first_position))
    aggregate = _aggregation(unit)
    quantity, revenue, count = ZERO, ZERO, 0
    flaw = None
    for event in events_of_span(span.running_total_id, span.first_position, span.last_position):
        count += 1
        flaw = flaw or _flaw(event, chain, expected=before + count)
        quantity = aggregate(quantity, event)
        revenue = EXACT.add(revenue, event.revenue)
    flaw = flaw or _flaw_at_the_end(span, chain, reached=before + count)
    return Replay(count, quantity, revenue, chain.digest, flaw)


def _flaw(event: CountedEvent, chain: proof.Chain, *, expected: int) -> str | None:
    """Append the event; what is wrong with it, if anything."""
    if event.position > expected:
        return f"the event at position {expected} is missing"
    if event.position < expected:
        return f"position {event.position} holds more than one event"
    if chain.append(event.canonical()) != bytes(event.digest):
        return (
            f"the event at position {event.position} (key {event.idempotency_key!r}) is not the"
            " one that was counted: its digest differs"
        )
    return None


def _flaw_at_the_end(span: BillRunEventIndex, chain: proof.Chain, *, reached: int) -> str | None:
    if reached < span.last_position:
        return f"the events from position {reached + 1} on are missing"
    if chain.digest != bytes(span.digest):
        return f"the digest at position {reached} is not the one that was billed"
    return None


def _aggregation(unit: BillableUnit) -> Aggregate:
    """How one more event moves the quantity, told from stored events alone."""
    match unit.aggregation:
        case Aggregation.COUNT:
            return lambda quantity, _: EXACT.add(quantity, ONE)
        case Aggregation.SUM:
            return lambda quantity, event: EXACT.add(quantity, event.quantity)
        case Aggregation.MAX:
            return lambda quantity, event: max(quantity, event.quantity)
        case Aggregation.UNIQUE:
            return _distinct(unit.event_field)
        case unknown:
            raise ValueError(f"no arithmetic for aggregation {unknown}")


def _distinct(field: str) -> Aggregate:
    seen: set[str] = set()

    def aggregate(_: Decimal, event: CountedEvent) -> Decimal:
        seen.add(event.value_of(field))
        return Decimal(len(seen))

    return aggregate
