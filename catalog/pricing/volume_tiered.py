"""Volume pricing: the tier that the total falls in sets the price of all units.

The charge may drop where a tier begins, so marginals may be negative.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.tiers import Tier, closed_by_open_tier, parse_tiers, tiers_on_the_wire
from catalog.pricing.wire import WireObject


@dataclass(frozen=True, slots=True)
class VolumeTiered(Terms):
    """All units at the unit price of the tier reached, and that tier's flat fee alone.

    With `bill_zero_tier` the first flat fee is due even when nothing was used.
    """

    model: ClassVar[str] = "VOLUME_TIERED"

    tiers: tuple[Tier, ...]
    bill_zero_tier: bool = False
    _ends: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = closed_by_open_tier([tier.tier_end for tier in self.tiers], name="tiers")
        object.__setattr__(self, "_ends", ends)

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        return cls(parse_tiers(wire), wire.flag("billZeroTier"))

    def as_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "tiers": tiers_on_the_wire(self.tiers),
            "billZeroTier": self.bill_zero_tier,
        }

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        return self._ends

    def charge(self, usage: Decimal | Usage) -> Decimal:
        quantity = usage if isinstance(usage, Decimal) else usage.quantity
        if quantity <= ZERO:
            return self.tiers[0].flat_fee if self.bill_zero_tier else ZERO
        tier = self.tiers[bisect_left(self._ends, quantity)]
        return EXACT.fma(quantity, tier.unit_price, tier.flat_fee)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        used = usage.quantity > ZERO
        if not used and not self.bill_zero_tier:
            return
        index = bisect_left(self._ends, usage.quantity)
        tier = self.tiers[index]
        if used:
            yield Charge.of(f"all units at tier {index + 1}", usage.quantity, tier.unit_price)
        if tier.flat_fee:
            yield Charge.fee(f"tier {index + 1} flat fee", tier.flat_fee)
