"""Heirs: which total of the next period takes what one leaves over, and how much at most.

What nobody takes is not left over: it stays free for late usage of its own period.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from billing.services.contracts import Contract, Price
from catalog.selectors.agreements import takes_allowance
from metering.services.carrying import Move
from metering.services.watermarks import LockedTotal

Left = tuple[UUID, UUID, str]
"""Whose rest: period, unit, dimension."""


@dataclass(frozen=True, slots=True)
class Heir:
    """The total that takes it; in units, all together, no more than its cap."""

    total_id: int
    cap: Decimal | None


Heirs = Mapping[Left, Heir]


def heirs_of(
    moves: Iterable[Move], totals: Sequence[LockedTotal], contracts: Mapping[UUID, Contract]
) -> Heirs:
    """Of several totals that may take the rest of a unit and dimension, the first has all of it.

    None takes any whose terms know no rollover, or that is billed already.
    """
    sources: defaultdict[tuple[UUID, UUID, UUID], set[UUID]] = defaultdict(set)
    for move in moves:
        sources[move.next_period_id, move.next_version_id, move.unit_id].add(move.period_id)
    prices = {
        (period_id, price.version_id, price.unit_id): price
        for period_id, contract in contracts.items()
        for price in contract.prices
        if _takes_rollover(price)
    }
    found: dict[Left, Heir] = {}
    for total in sorted(totals, key=lambda one: one.id):
        key = (total.period_id, total.plan_version_id, total.unit_id)
        if key in prices and total.billed_position is None:
            for period_id in sources.get(key, ()):
                heir = Heir(total.id, prices[key].rollover_cap)
                found.setdefault((period_id, total.unit_id, total.dimension), heir)
    return found


def _takes_rollover(price: Price) -> bool:
    """Its own terms have the last word: a contract may say a model without an allowance."""
    return bool(price.rollover_periods) and takes_allowance(price.source.wire)
