"""Terms by dimension: a total, with tiers and allowance of its own, for each value of some keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.dimensions import values_in
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.wire import InvalidTerms, WireObject
from catalog.pricing.wrapped import Wrapped

ONE = Decimal(1)
MOST_GROUP_KEYS = 2


@dataclass(frozen=True, slots=True)
class Multiplied(Wrapped):
    """Every amount of `inner`, times `multiplier`."""

    multiplier: Decimal

    def said_beside(self) -> dict[str, object]:
        return {"multiplier": plain(self.multiplier)}

    def charge(self, usage: Decimal | Usage) -> Decimal:
        return EXACT.multiply(self.inner.charge(usage), self.multiplier)

    def charges(self, usage: Decimal | Usage) -> tuple[Charge, ...]:
        return tuple(self._times(charge) for charge in self.inner.charges(usage))

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        yield from self.charges(usage)

    def _times(self, charge: Charge) -> Charge:
        label = f"{charge.label} (x {plain(self.multiplier)})"
        if charge.unit_price is None:
            amount = EXACT.multiply(charge.amount, self.multiplier)
            return Charge.fee(label, amount, quantity=charge.quantity)
        price = EXACT.multiply(charge.unit_price, self.multiplier)
        return Charge.of(label, charge.quantity, price)


@dataclass(frozen=True, slots=True)
class Dimensioned(Wrapped):
    """`inner` for each combination of values of `group_by` and `dimension_key`.

    What `dimension_pricing` names among the values of `dimension_key` multiplies the charge; any
    other value costs what `inner` says.
    """

    group_by: tuple[str, ...] = ()
    dimension_key: str = ""
    dimension_pricing: tuple[tuple[str, Decimal], ...] = ()

    def __post_init__(self) -> None:
        field = "groupBy" if self.group_by else "dimensionKey"
        if self.inner.model == "FLAT_RATE":
            raise InvalidTerms(field, "must be absent: a flat rate would be due once per value")
        if self.inner.charge(ZERO):
            reason = "must be absent: what is due without usage would be due once per value"
            raise InvalidTerms(field, reason)

    @property
    def dimension_keys(self) -> tuple[str, ...]:
        keys = {*self.group_by, self.dimension_key} - {""}
        return tuple(sorted(keys))

    def said_beside(self) -> dict[str, object]:
        said: dict[str, object] = {}
        if self.group_by:
            said["groupBy"] = list(self.group_by)
        if self.dimension_key:
            said["dimensionKey"] = self.dimension_key
            said["dimensionPricing"] = {name: plain(rate) for name, rate in self.dimension_pricing}
        return said

    def of_dimension(self, dimension: str) -> Terms:
        value = values_in(dimension).get(self.dimension_key, "") if self.dimension_key else ""
        multiplier = dict(self.dimension_pricing).get(value, ONE)
        return self.inner if multiplier == ONE else Multiplied(self.inner, multiplier)


def dimensioned(terms: Terms, wire: WireObject) -> Terms:
    """`terms` by the dimensions that `wire` names beside the model: themselves, when none."""
    if not wire.has("groupBy", "dimensionKey", "dimensionPricing"):
        return terms
    group_by = wire.names("groupBy", most=MOST_GROUP_KEYS)
    pricing = tuple(wire.rates("dimensionPricing").items())
    if pricing:
        wire.require("dimensionKey")
    key = wire.text("dimensionKey") if wire.has("dimensionKey") else ""
    if not group_by and not key:
        return terms
    return Dimensioned(terms, group_by, key, pricing)


def multiplied(terms: Terms, wire: WireObject) -> Terms:
    """`terms` times the `multiplier` beside the model, which is how those of a dimension read."""
    factor = wire.optional_money("multiplier")
    return terms if factor is None else Multiplied(terms, factor)
