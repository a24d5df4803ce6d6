"""Measures: what is aggregated is divided and rounded before it is priced, as its unit asks.

Models that price single events measure each event by itself, all others the quantity as a whole.
"""

from dataclasses import dataclass, replace
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    InvalidOperation,
)
from enum import StrEnum

from aforo.money import DIVISION_PLACES, EXACT, ZERO, divide, plain
from catalog.pricing.terms import Charge, Part, Terms, Usage, usage_of
from catalog.pricing.wire import InvalidTerms, WireObject
from catalog.pricing.wrapped import Wrapped

ONE = Decimal(1)
_WIDE = Context(prec=100, traps=[InvalidOperation])


class Rounding(StrEnum):
    """How a quantity is rounded before it is priced."""

    NONE = ""
    ROUND = "ROUND"
    CEIL = "CEIL"
    FLOOR = "FLOOR"


_MODES = {
    Rounding.ROUND: ROUND_HALF_EVEN,
    Rounding.CEIL: ROUND_CEILING,
    Rounding.FLOOR: ROUND_FLOOR,
}


@dataclass(frozen=True, slots=True)
class Measured(Wrapped):
    """`inner` terms for the quantity divided by `divide_by` and rounded to `rounding_places`.

    The quotient has 12 decimals before it is rounded. Allowance and tiers of `inner` are in what
    comes out: in GB, where bytes were sent.
    """

    divide_by: Decimal = ONE
    rounding: Rounding = Rounding.NONE
    rounding_places: int = 0

    def __post_init__(self) -> None:
        if self.divide_by <= ZERO:
            raise InvalidTerms("divideBy", "must be above 0")
        if self.rounding_places > DIVISION_PLACES:
            raise InvalidTerms("roundingPlaces", f"must be at most {DIVISION_PLACES}")
        if self.rounding_places and not self.rounding:
            raise InvalidTerms("roundingPlaces", "says nothing without rounding")

    def said_beside(self) -> dict[str, object]:
        said: dict[str, object] = {}
        if self.divide_by != ONE:
            said["divideBy"] = plain(self.divide_by)
        if self.rounding:
            said |= {"rounding": self.rounding.value, "roundingPlaces": self.rounding_places}
        return said

    def measured(self, quantity: Decimal) -> Decimal:
        if self.divide_by != ONE:
            quantity = divide(quantity, self.divide_by)
        if not self.rounding:
            return quantity
        places = ONE.scaleb(-self.rounding_places, _WIDE)
        return quantity.quantize(places, _MODES[self.rounding], _WIDE)

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        return tuple(EXACT.multiply(bound, self.divide_by) for bound in self.inner.bounds)

    def unmeasured(self) -> Terms:
        return self.inner

    def charge(self, usage: Decimal | Usage) -> Decimal:
        return self.inner.charge(self._priced_as(usage))

    def charges(self, usage: Decimal | Usage) -> tuple[Charge, ...]:
        return self.inner.charges(self._priced_as(usage))

    def add(self, usage: Decimal | Usage, event: Part) -> Usage:
        held = usage_of(usage)
        quantity = EXACT.add(held.quantity, event.quantity)
        parts = self.inner.add(held, self._alone(event)).parts
        return Usage(quantity, held.count + event.count, parts)

    def remove(self, usage: Decimal | Usage, event: Part) -> Usage:
        held = usage_of(usage)
        quantity = EXACT.subtract(held.quantity, event.quantity)
        parts = self.inner.remove(held, self._alone(event)).parts
        return Usage(quantity, held.count - event.count, parts)

    def _alone(self, event: Part) -> Part:
        return replace(event, quantity=self.measured(event.quantity))

    def _priced_as(self, usage: Decimal | Usage) -> Decimal | Usage:
        if isinstance(usage, Decimal):
            return self.measured(usage)
        return Usage(self.measured(usage.quantity), usage.count, usage.parts)


def measured(terms: Terms, wire: WireObject) -> Terms:
    """`terms` as measured as `wire` asks beside the model: themselves, when it asks for nothing."""
    if not wire.has("divideBy", "rounding", "roundingPlaces"):
        return terms
    divide_by = wire.optional_number("divideBy")
    rounding = Rounding(wire.choice("rounding", Rounding, default=Rounding.NONE))
    places = wire.whole("roundingPlaces")
    if divide_by in (None, ONE) and not rounding and not places:
        return terms
    return Measured(terms, ONE if divide_by is None else divide_by, rounding, places)
