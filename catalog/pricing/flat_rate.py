"""Flat rate: one price per period, whatever the usage."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, divide, plain
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.wire import WireObject


@dataclass(frozen=True, slots=True)
class FlatRate(Terms):
    """`flat_rate` once per period, also when nothing was used."""

    model: ClassVar[str] = "FLAT_RATE"

    flat_rate: Decimal

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        return cls(wire.money("flatRate"))

    def as_dict(self) -> dict[str, object]:
        return {"model": self.model, "flatRate": plain(self.flat_rate)}

    def charge(self, usage: Decimal | Usage) -> Decimal:
        return self.flat_rate

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        yield Charge.fee("flat rate", self.flat_rate, quantity=usage.quantity)

    def prorated(self, part: Decimal, whole: Decimal) -> Self:
        return replace(self, flat_rate=divide(EXACT.multiply(self.flat_rate, part), whole))
