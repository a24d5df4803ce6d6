"""Prices each event as it arrives: the charge after it, less the charge before it, exactly.

`charge(0)` plus the revenue of all events of a total is the price of the total, to the last digit.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate, repeat

from aforo.money import ZERO, exact
from catalog.pricing import Usage
from metering.counted_values import value_hash
from metering.ingest import enrichment, totals
from metering.ingest.arrivals import Arrival, Fate
from metering.ingest.enrichment import Routed
from metering.ingest.kept import Kept, kept_by
from metering.ingest.rows import RowMaker, TakeRows, unbilled
from metering.ingest.targets import Target, Unbilled, fields_of
from metering.ingest.totals import Total

ONE = Decimal(1)
Spent = tuple[Arrival, Decimal, Decimal]  # an event of a session: its revenue, its cost


@dataclass(slots=True)
class Locked:
    """A drain's events by what counts them, and the totals they will change, locked and read."""

    unbilled: list[tuple[Arrival, Unbilled]] = field(default_factory=list)
    held: list[tuple[Arrival, Target, int]] = field(default_factory=list)
    groups: dict[Target, list[Arrival]] = field(default_factory=dict)
    total_ids: dict[Target, int] = field(default_factory=dict)
    totals: dict[int, Total] = field(default_factory=dict)
    new_values: set[tuple[int, str]] = field(default_factory=set)
    spent: list[Spent] = field(default_factory=list)


def lock(routed: Iterable[Routed]) -> Locked:
    """Group events by their totals and lock those, in id order; nothing is priced yet."""
    locked = Locked()
    groups: defaultdict[Target, list[Arrival]] = defaultdict(list)
    for arrival, targets in routed:
        for target in targets:
            if isinstance(target, Unbilled):
                locked.unbilled.append((arrival, target))
            else:
                groups[target].append(arrival)
    if groups:
        locked.total_ids = totals.ids_of(groups)
        locked.totals = totals.lock(locked.total_ids.values())
        locked.groups = _open(groups, locked)
        locked.new_values = _new_values(locked.groups, locked.total_ids)
    return locked


def lock_decided(groups: dict[Target, list[Arrival]], *, more_ids: Collection[int] = ()) -> Locked:
    """As `lock`, for events that somebody has decided to count: into billed totals too.

    Totals of `more_ids` are locked with them. `see_values` comes before `price`.
    """
    locked = Locked(groups=groups, total_ids=totals.ids_of(groups))
    locked.totals = totals.lock([*locked.total_ids.values(), *more_ids])
    return locked


def see_values(locked: Locked) -> None:
    """Tell which values of UNIQUE are new to their totals."""
    locked.new_values = _new_values(locked.groups, locked.total_ids)


def price(locked: Locked, take: TakeRows) -> None:
    """Walk each total's events in order and hand over their rows; asks the database nothing."""
    take(
        [
            unbilled(target.columns, arrival, target.product_type)
            for arrival, target in locked.unbilled
        ]
    )
    with exact():
        for target, arrivals in locked.groups.items():
            total = locked.totals[locked.total_ids[target]]
            take(_walk(target, total, arrivals, locked))


def write_back(locked: Locked) -> None:
    """Store the totals as they stand after the last of their events."""
    totals.write([locked.totals[locked.total_ids[target]] for target in locked.groups])


def _open(groups: dict[Target, list[Arrival]], locked: Locked) -> dict[Target, list[Arrival]]:
    """Groups whose total is not billed yet; the events of the others wait for a decision.

    Unless the tenant has decided for all of them: then they are appended, for the next invoice.
    """
    still_open = {}
    for target, arrivals in groups.items():
        total_id = locked.total_ids[target]
        is_billed = locked.totals[total_id].billed_position is not None
        if not is_billed or enrichment.bills_late_usage(target.tenant_id):
            still_open[target] = arrivals
        else:
            for arrival in arrivals:
                arrival.fate = Fate.HELD
                locked.held.append((arrival, target, total_id))
    return still_open


def _walk(target: Target, total: Total, arrivals: list[Arrival], locked: Locked) -> list[str]:
    """The rows of one total's events; `total` stands after the last of them."""
    terms = target.terms_of(total.rollover) if total.rollover else target.terms
    charge, by_count = terms.charge, terms.counts_transactions
    kept = None if target.is_plain else kept_by(target, terms, total)
    with_parts = kept if kept and terms.keeps_parts else None
    unit_cost, by_card = target.unit.unit_cost, target.costs is not None
    spent = ZERO
    maker = _row_maker(target, total)
    quantity, count, position = total.quantity, total.event_count, total.position
    if with_parts and with_parts.usage:
        charged = first = charge(with_parts.usage)
    else:
        charged = first = charge(Usage(quantity, count)) if by_count else charge(quantity)
    lines = []
    levels = _levels(target, total, arrivals, locked.new_values, kept)
    for arrival, after in zip(arrivals, levels, strict=True):
        count += 1
        position += 1
        if with_parts:
            price = charge(with_parts.add(arrival, after - quantity))
        else:
            price = charge(Usage(after, count)) if by_count else charge(after)
        if by_card:
            unit_cost = target.unit_cost_of(arrival)
            spent += unit_cost * (after - quantity)
        cost = unit_cost * (after - quantity) if unit_cost else ZERO
        revenue = price - charged
        lines.append(maker.priced(arrival, position, revenue, cost))
        if arrival.event.sessionId is not None:
            locked.spent.append((arrival, revenue, cost))
        quantity, charged = after, price
        if arrival.fate is Fate.UNBILLED:
            arrival.fate = Fate.COUNTED
    total.cost += spent if by_card else unit_cost * (quantity - total.quantity)
    if kept:
        total.state = kept.text()
    total.revenue += charged - first
    total.quantity, total.event_count, total.position = quantity, count, position
    total.digest = maker.chain.digest
    return lines


def _row_maker(target: Target, total: Total) -> RowMaker:
    """The target's own, with its chain set to where the locked total stands."""
    maker = target.maker
    if maker is None or maker.total_id != total.id:
        secret = enrichment.secret_of(target.tenant_id)
        maker = target.maker_of(total.id, secret)
        target.maker = maker
    maker.chain.digest = total.digest
    return maker


def _levels(
    target: Target,
    total: Total,
    arrivals: list[Arrival],
    new_values: set[tuple[int, str]],
    kept: Kept | None,
) -> Iterator[Decimal]:
    """The aggregated quantity after each event, from where the total stands."""
    if kept and kept.measure:
        return kept.levels(arrivals)
    join: Callable[[Decimal, Decimal], Decimal] | None = None  # adds
    match target.unit.aggregation:
        case "COUNT":
            steps: Iterable[Decimal] = repeat(ONE, len(arrivals))
        case "SUM":
            steps = [arrival.event.quantity for arrival in arrivals]
        case "MAX":
            steps, join = [arrival.event.quantity for arrival in arrivals], max
        case "UNIQUE":
            steps = _first_seen(target, total.id, arrivals, new_values)
        case unknown:
            raise ValueError(f"no arithmetic for aggregation {unknown}")
    levels = accumulate(steps, join, initial=total.quantity)
    next(levels)  # where it stands
    return levels


def _first_seen(
    target: Target, total_id: int, arrivals: list[Arrival], new_values: set[tuple[int, str]]
) -> Iterator[Decimal]:
    """One for the first event of each new value, else nothing; `new_values` shrinks."""
    for arrival in arrivals:
        value = (total_id, _hashed_value(target, arrival))
        yield ONE if value in new_values else ZERO
        new_values.discard(value)


def _new_values(
    groups: dict[Target, list[Arrival]], total_ids: dict[Target, int]
) -> set[tuple[int, str]]:
    """Values that UNIQUE totals have not seen; written after the totals are locked."""
    return totals.new_values(
        {
            (total_ids[target], _hashed_value(target, arrival))
            for target, arrivals in groups.items()
            if target.unique_field is not None
            for arrival in arrivals
        }
    )


def _hashed_value(target: Target, arrival: Arrival) -> str:
    return value_hash(fields_of(arrival)[target.unique_field or ""])
