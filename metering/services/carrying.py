"""What one period leaves to the next: unused included units, and the level of recurring units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from catalog.selectors.prices import PeriodPrice
from metering.aggregation import CARRIED, measure_of
from metering.aggregation.state import level_in
from metering.selectors.exact_quantities import largest, levels_held
from metering.services.adjusting import adjust
from metering.services.carried_levels import carry_values, costs_of_levels
from metering.services.estimates import adjustment_of
from metering.services.watermarks import LockedTotal

CARRIED_OVER = "carried over from the period before"


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """A unit's usage goes on from one plan version and period to the next ones."""

    period_id: UUID
    version_id: UUID
    unit_id: UUID
    next_period_id: UUID
    next_version_id: UUID


@dataclass(frozen=True, slots=True)
class Carry:
    """What a total of the next period begins with.

    `source` is the total that is billed, `target` that of the same unit and dimension in the next
    period, both locked; `price` is the target's, `rollover` the units that it is granted.
    """

    source: LockedTotal
    target: LockedTotal
    price: PeriodPrice
    rollover: Decimal = ZERO


def carry_over(carries: Sequence[Carry], *, now: datetime) -> list[LockedTotal]:
    """Set rollover and carried level of the next totals; those that changed, as they stand after.

    Their price follows by one adjustment each: it is what their terms charge with what they begin
    with, less what they charged without. Again with the same values changes nothing; a target that
    is billed already is left as it is. At most twelve statements, however many; one walk more over
    the events of each target that loses values which went over before.
    Call it in the transaction that bills the sources, after `settle_estimates`. Raises
    InvalidTerms for a price that cannot be read.
    """
    open_ones = [one for one in carries if one.target.billed_position is None]
    levels = _levels_at_the_end([one.source for one in open_ones])
    begun = [
        replace(one.target, rollover=one.rollover, carried=levels.get(one.source.id))
        for one in open_ones
    ]
    values = carry_values(
        [
            (carry.source, carry.target)
            for carry, after in zip(open_ones, begun, strict=True)
            if after.carried is not None and after.aggregation == "UNIQUE"
        ]
    )
    quantities = _quantities(open_ones, begun, values.counts)
    stands = [replace(one, quantity=quantities.get(one.id, one.quantity)) for one in begun]
    pairs = [
        (carry, after)
        for carry, after in zip(open_ones, stands, strict=True)
        if after != carry.target or after.id in values.moved
    ]
    costs = costs_of_levels([(after, _step(carry, after)) for carry, after in pairs])
    changed, adjustments = [], []
    for carry, after in pairs:
        owed = EXACT.subtract(_price(after, carry.price), _price(carry.target, carry.price))
        cost = costs.get(after.id, ZERO)
        adjustment = adjustment_of(after, owed, CARRIED_OVER, cost=cost)
        adjustments.append(replace(adjustment, moved_values=values.moved.get(after.id)))
        changed.append(after.adjusted(owed, cost))
    adjust(adjustments, now=now)
    return changed


def _step(carry: Carry, after: LockedTotal) -> Decimal:
    return EXACT.subtract(after.quantity, carry.target.quantity)


def _price(total: LockedTotal, price: PeriodPrice) -> Decimal:
    return total.terms(price.terms).charge(total.usage)


def _levels_at_the_end(totals: Sequence[LockedTotal]) -> Mapping[int, Decimal]:
    """What recurring units end their period with; others leave no level."""
    recurring = [one for one in totals if one.is_recurring and one.aggregation in CARRIED]
    weighted = [one for one in recurring if one.aggregation == "WEIGHTED_SUM"]
    held = levels_held([one.id for one in weighted])
    found = {one.id: one.quantity for one in recurring}
    for one in weighted:
        found[one.id] = held[one.id].last_level if one.id in held else one.carried or ZERO
    return found


def _quantities(
    carries: Sequence[Carry], begun: Sequence[LockedTotal], values: Mapping[int, Decimal]
) -> dict[int, Decimal]:
    """The quantity of each target that begins with a level, from that level on."""
    by_kind: dict[str, list[tuple[Carry, LockedTotal]]] = {}
    for carry, after in zip(carries, begun, strict=True):
        if after.carried is not None:
            by_kind.setdefault(after.aggregation, []).append((carry, after))
    peaks = largest([after.id for _, after in by_kind.get("MAX", ())])
    found: dict[int, Decimal] = {}
    for kind, pairs in by_kind.items():
        for carry, after in pairs:
            level = after.carried or ZERO
            match kind:
                case "SUM":
                    own = EXACT.subtract(after.quantity, carry.target.carried or ZERO)
                    found[after.id] = EXACT.add(own, level)
                case "MAX":
                    found[after.id] = max(level, peaks.get(after.id, ZERO))
                case "UNIQUE":
                    found[after.id] = values.get(after.id, ZERO)
                case _:
                    found[after.id] = _measured(after)
    return found


def _measured(total: LockedTotal) -> Decimal:
    measure = measure_of(
        total.aggregation, level_in(total.state), span=total.span, carried=total.carried
    )
    assert measure is not None  # noqa: S101 - only such are left
    return measure.quantity
