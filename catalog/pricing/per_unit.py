"""Per unit: every unit beyond the included ones costs the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.wire import InvalidTerms, WireObject


@dataclass(frozen=True, slots=True)
class PerUnit(Terms):
    """`rate` for each unit above `included_free`."""

    model: ClassVar[str] = "PER_UNIT"

    rate: Decimal
    included_free: Decimal = ZERO

    def __post_init__(self) -> None:
        if self.included_free < ZERO:
            raise InvalidTerms("includedFree", "must not be negative")

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        return cls(wire.money("rate"), wire.quantity("includedFree"))

    def as_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "rate": plain(self.rate),
            "includedFree": plain(self.included_free),
        }

    def charge(self, usage: Decimal | Usage) -> Decimal:
        quantity = usage if isinstance(usage, Decimal) else usage.quantity
        if quantity <= self.included_free:
            return ZERO
        return EXACT.multiply(EXACT.subtract(quantity, self.included_free), self.rate)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        included = min(usage.quantity, self.included_free)
        if included > ZERO:
            yield Charge.of("included", included, ZERO)
        if usage.quantity > self.included_free:
            yield Charge.of("units", usage.quantity - self.included_free, self.rate)

    def without_allowance(self) -> Self:
        return replace(self, included_free=ZERO)

    def with_allowance(self, quantity: Decimal) -> Self:
        return replace(self, included_free=quantity)
