"""Graduated percentage: every tier's share of the money is charged at that tier's percentage."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.graduated import Graduated
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.tiers import Tier, bands, end_on_the_wire
from catalog.pricing.wire import WireObject


@dataclass(frozen=True, slots=True)
class PercentageTier:
    """Money above the previous tier, up to and including `tier_end` (None: no end)."""

    tier_end: Decimal | None
    rate_percent: Decimal
    flat_fee: Decimal = ZERO

    def per_unit_of_money(self) -> Tier:
        return Tier(self.tier_end, EXACT.scaleb(self.rate_percent, -2), self.flat_fee)


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Terms):
    """Graduated pricing whose quantity is money and whose unit prices are percentages."""

    model: ClassVar[str] = "GRADUATED_PERCENTAGE"

    tiers: tuple[PercentageTier, ...]
    bill_zero_tier: bool = False
    _graduated: Graduated = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tiers = tuple(tier.per_unit_of_money() for tier in self.tiers)
        object.__setattr__(self, "_graduated", Graduated(tiers, self.bill_zero_tier))

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        tiers = []
        for band, end in bands(wire, "tiers"):
            fee = band.optional_money("flatFee") or ZERO
            tiers.append(PercentageTier(end, band.money("ratePercent"), fee))
            band.refuse_unread("a percentage tier")
        return cls(tuple(tiers), wire.flag("billZeroTier"))

    def as_dict(self) -> dict[str, object]:
        tiers = [
            {
                "tierEnd": end_on_the_wire(tier.tier_end),
                "ratePercent": plain(tier.rate_percent),
                "flatFee": plain(tier.flat_fee),
            }
            for tier in self.tiers
        ]
        return {"model": self.model, "tiers": tiers, "billZeroTier": self.bill_zero_tier}

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        return self._graduated.bounds

    def charge(self, usage: Decimal | Usage) -> Decimal:
        return self._graduated.charge(usage)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        yield from self._graduated.charges(usage)
