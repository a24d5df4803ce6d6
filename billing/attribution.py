"""Which events are behind an invoice line, and what they come to when they are walked again."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, ZERO
from billing.models import BillRunEventIndex
from billing.replayed_usage import Counting, UsageAt
from catalog.models import BillableUnit
from catalog.pricing import Usage
from metering import proof
from metering.selectors.corrections import VOID, position_voided
from metering.selectors.events import CountedEvent, events_of_span


@dataclass(frozen=True, slots=True)
class Replay:
    """What a span's stored events come to. `flaw` names the first that is not what was billed.

    `before` and `after` are the usage of the whole total at the two ends of the span.
    """

    row_count: int
    before: Usage
    after: Usage
    revenue: Decimal
    digest: bytes
    flaw: str | None

    @property
    def event_count(self) -> int:
        """Events that the span adds, less those it takes back."""
        return self.after.count - self.before.count

    @property
    def quantity(self) -> Decimal:
        return EXACT.subtract(self.after.quantity, self.before.quantity)


def replay(
    span: BillRunEventIndex,
    *,
    key: bytes,
    unit: BillableUnit,
    voids: Mapping[int, int],
    counting: Counting | None = None,
) -> Replay:
    """Walk the total's events from the first to the last of `span`: hash, chain, aggregate again.

    What was billed before the span is walked too, because its price begins there. Memory does not
    grow with the events, but for what `UsageAt` and corrections have to remember. `key` is the key
    of the span's total, `voids` its positions that do not stand, with where they were taken back.
    `counting` says more of how events become usage, where the unit does not say all of it.
    """
    voids = {position: at for position, at in voids.items() if at <= span.last_position}
    counting = counting or Counting(unit)
    before = UsageAt(counting, voids, at=span.first_position - 1)
    after = UsageAt(counting, voids, at=span.last_position)
    chain = proof.Chain(key)
    revenue, count, voided = ZERO, 0, 0
    flaw = None
    for event in events_of_span(span.running_total_id, 1, span.last_position):
        count += 1
        flaw = flaw or _flaw(event, chain, voids, expected=count)
        before.add(event)
        after.add(event)
        voided += event.source == VOID
        if count >= span.first_position:
            revenue = EXACT.add(revenue, event.revenue)
    flaw = flaw or _flaw_at_the_end(span, chain, reached=count)
    if flaw is None and voided != len(voids):
        flaw = f"{voided} events are taken back, but {len(voids)} corrections say so"
    row_count = max(0, count - span.first_position + 1)
    billed = before.usage if counting.adjusts or span.first_position > 1 else Usage(ZERO)
    return Replay(row_count, billed, after.usage, revenue, chain.digest, flaw)


def _flaw(
    event: CountedEvent, chain: proof.Chain, voids: Mapping[int, int], *, expected: int
) -> str | None:
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
    if event.source == VOID:
        position = position_voided(event.metadata)
        if position is None or voids.get(position) != event.position:
            return f"what position {event.position} takes back is in no correction"
    return None


def _flaw_at_the_end(span: BillRunEventIndex, chain: proof.Chain, *, reached: int) -> str | None:
    if reached < span.last_position:
        return f"the events from position {reached + 1} on are missing"
    if chain.digest != bytes(span.digest):
        return f"the digest at position {reached} is not the one that was billed"
    return None
