"""Graduated pricing: every tier's units are charged at that tier's own price."""

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
class Graduated(Terms):
    """Units in a tier at its unit price, and its flat fee once the tier is entered.

    With `bill_zero_tier` the first flat fee is due even when nothing was used.
    """

    model: ClassVar[str] = "GRADUATED"

    tiers: tuple[Tier, ...]
    bill_zero_tier: bool = False
    _ends: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)
    _floors: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)
    _entry_amounts: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = closed_by_open_tier([tier.tier_end for tier in self.tiers], name="tiers")
        object.__setattr__(self, "_ends", ends)
        object.__setattr__(self, "_floors", (ZERO, *ends))
        object.__setattr__(self, "_entry_amounts", tuple(self._amounts_on_entry()))

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
        index = bisect_left(self._ends, quantity)
        return EXACT.fma(
            EXACT.subtract(quantity, self._floors[index]),
            self.tiers[index].unit_price,
            self._entry_amounts[index],
        )

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        """One line per tier reached, and one per flat fee."""
        for number, (tier, floor) in enumerate(zip(self.tiers, self._floors, strict=True), start=1):
            if usage.quantity > floor:
                top = usage.quantity if tier.tier_end is None else tier.tier_end
                units = min(usage.quantity, top) - floor
                yield Charge.of(f"tier {number}", units, tier.unit_price)
            elif number > 1 or not self.bill_zero_tier:
                return
            if tier.flat_fee:
                yield Charge.fee(f"tier {number} flat fee", tier.flat_fee)

    def _amounts_on_entry(self) -> Iterator[Decimal]:
        """Per tier, what is due at its floor plus its flat fee: `charge` adds only its units."""
        due = ZERO
        for tier, floor in zip(self.tiers, self._floors, strict=True):
            due = EXACT.add(due, tier.flat_fee)
            yield due
            if tier.tier_end is not None:
                due = EXACT.fma(EXACT.subtract(tier.tier_end, floor), tier.unit_price, due)
