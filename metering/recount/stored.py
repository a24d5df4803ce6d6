"""A total counted again from its stored events: in order, one by one, in constant memory."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from catalog.models.billable_units import Aggregation
from catalog.pricing import Usage
from catalog.selectors.prices import with_rollover
from metering import proof
from metering.aggregation import ESTIMATED, key_hash
from metering.recount.levels import Counted, Level
from metering.recount.scope import Recounted
from metering.selectors.events import CountedEvent, events_of_span


@dataclass(slots=True)
class Outcome:
    """What the stored events come to. `flaw` is the first that contradicts its own row."""

    quantity: Decimal = ZERO
    count: int = 0
    revenue: Decimal = ZERO
    price: Decimal = ZERO
    cost: Decimal = ZERO
    position: int = 0
    digest: bytes = proof.START
    sources: set[str] = field(default_factory=set)
    flaw: str = ""


class _Walk:
    """Where the recount of one total stands."""

    def __init__(self, recounted: Recounted) -> None:
        self.unit, self.recounted = recounted.unit, recounted
        self.terms = recounted.terms
        self.chain = proof.Chain(recounted.key)
        remembers = bool(recounted.voided)
        self.level = Level(
            recounted.unit.aggregation,
            remembers=remembers,
            terms=recounted.terms,
            span=recounted.span,
        )
        self.voided = recounted.voided
        self.takes_back = {void: position for position, void in recounted.voided.items()}
        self.kept: dict[int, Counted] = {}  # what will be taken back
        self.adjustments = deque(one for one in recounted.adjustments if one.position is not None)
        is_unique = self.unit.aggregation == Aggregation.UNIQUE
        self.carried_since = recounted.values_carried_since() if is_unique else {}
        self.charged = self.terms.charge(Usage(ZERO))
        self.outcome = Outcome()
        self._adjust()

    def take(self, event: CountedEvent) -> None:
        """One stored row: hash, chain, aggregate and price it again."""
        outcome = self.outcome
        before = self.level.quantity
        self._move(event)
        price = self.terms.charge(self.level.usage)
        revenue = EXACT.subtract(price, self.charged)
        if self.recounted.may_have_moved:  # by which terms is known of the whole alone
            revenue = event.revenue
        cost = event.cost
        if not self.recounted.by_card:
            cost = EXACT.multiply(self.unit.unit_cost, EXACT.subtract(self.level.quantity, before))
        self.charged = price
        outcome.position += 1
        outcome.sources.add(event.source)
        outcome.revenue = EXACT.add(outcome.revenue, revenue)
        outcome.cost = EXACT.add(outcome.cost, cost)
        digest = self.chain.append(event.canonical())
        outcome.flaw = outcome.flaw or _flaw(event, outcome.position, revenue, cost, digest)
        self._adjust()

    def _adjust(self) -> None:
        """What bill runs changed of the total when it stood here."""
        while self.adjustments and self.adjustments[0].position == self.outcome.position:
            adjustment = self.adjustments.popleft()
            rollover = adjustment.rollover or ZERO
            self.terms = with_rollover(self.recounted.terms, rollover)
            self.level.begin_with(adjustment.carried, self.carried_since.get(adjustment.pk, ()))
            if adjustment.quantity is not None and self.unit.aggregation in ESTIMATED:
                self.level.told(adjustment.quantity)
            price = self.terms.charge(self.level.usage)
            owed = EXACT.subtract(price, self.charged)
            self.charged = price
            self.outcome.cost = EXACT.add(self.outcome.cost, adjustment.cost or ZERO)
            is_right = owed == adjustment.amount or self.recounted.may_have_moved
            self.outcome.flaw = self.outcome.flaw or (
                "" if is_right else f"{adjustment} should be {plain(owed)}"
            )

    def _move(self, event: CountedEvent) -> None:
        position = self.takes_back.get(event.position)
        if position is not None and position in self.kept:
            self.level.take_back(self.kept.pop(position))
            return
        counted = self._counted(event)
        self.level.add(counted)
        if event.position in self.voided:
            self.kept[event.position] = counted

    def _counted(self, event: CountedEvent) -> Counted:
        is_unique = self.unit.aggregation == Aggregation.UNIQUE
        return Counted(
            quantity=event.quantity,
            value=event.value_of(self.unit.event_field) if is_unique else None,
            moment=proof.microseconds(event.occurred_at),
            key=key_hash(event.idempotency_key),
            fields=event.fields() if self.terms.part_keys else None,
        )

    def end(self) -> Outcome:
        self.outcome.quantity, self.outcome.count = self.level.quantity, self.level.count
        self.outcome.digest = self.chain.digest
        self.outcome.price = self.charged
        return self.outcome


def count_stored(recounted: Recounted) -> Outcome:
    """Walk the total's events from the first to the last that it says it has."""
    walk = _Walk(recounted)
    for event in events_of_span(recounted.total.pk, 1, recounted.total.position):
        walk.take(event)
    return walk.end()


def _flaw(
    event: CountedEvent, position: int, revenue: Decimal, cost: Decimal, digest: bytes
) -> str:
    if event.position != position:
        return f"position {position} is missing or held twice"
    if digest != bytes(event.digest):
        return f"the event at position {position} is not the one that was counted"
    if revenue != event.revenue:
        return f"the event at position {position} adds {plain(revenue)}, not {plain(event.revenue)}"
    if cost != event.cost:
        return f"the event at position {position} costs {plain(cost)}, not {plain(event.cost)}"
    return ""
