"""Dynamic pricing: each event brings its own amount of money, which the plan may mark up."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, Inexact
from typing import ClassVar, Self

from aforo.money import DIVISION_PLACES, EXACT, ZERO, plain
from catalog.pricing.by_part import ByPart
from catalog.pricing.terms import Charge, InvalidPart, Part, Usage
from catalog.pricing.wire import WireObject

WHOLE_DIGITS = 24
_QUANTUM = Decimal(1).scaleb(-DIVISION_PLACES)
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dynamic(ByPart):
    """The sum of the amounts in `amount_field` of the metadata, and `markup_percent` of it.

    Amounts may be below zero, a refund; their sum is priced as zero then. A bare quantity, of
    which no event is known, is an amount itself.
    """

    model: ClassVar[str] = "DYNAMIC"

    amount_field: str
    markup_percent: Decimal = ZERO
    _factor: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        factor = EXACT.add(Decimal(1), EXACT.scaleb(self.markup_percent, -2))
        object.__setattr__(self, "_factor", factor)

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        return cls(wire.text("amountField"), wire.optional_money("markupPercent") or ZERO)

    def as_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "amountField": self.amount_field,
            "markupPercent": plain(self.markup_percent),
        }

    @property
    def part_keys(self) -> tuple[str, ...]:
        return (self.amount_field,)

    def part_of(self, quantity: Decimal, fields: Mapping[str, object]) -> Part:
        return Part(quantity, amount=self._amount_in(fields.get(self.amount_field)))

    def charge(self, usage: Decimal | Usage) -> Decimal:
        amount = _sum_of(self._standing(usage))
        return EXACT.multiply(amount, self._factor) if amount > ZERO else ZERO

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        amount = _sum_of(usage.parts)
        if amount <= ZERO:
            return
        yield Charge.of("amounts of the events", amount, Decimal(1))
        if self.markup_percent:
            share = EXACT.scaleb(self.markup_percent, -2)
            yield Charge.of(f"markup of {plain(self.markup_percent)} %", amount, share)

    def _kept(self, part: Part) -> Part:
        amount = part.quantity if part.amount is None else part.amount
        return Part(part.quantity, part.count, amount)

    def _amount_in(self, value: object) -> Decimal:
        """The amount that an event brings: a number, or a number as text."""
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = Decimal(value)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise InvalidPart(self.amount_field, "must be a number")
        amount = Decimal(value)
        if amount and amount.adjusted() >= WHOLE_DIGITS:
            raise InvalidPart(self.amount_field, f"must have at most {WHOLE_DIGITS} digits")
        try:
            return EXACT.quantize(amount, _QUANTUM)
        except Inexact:
            reason = f"must have at most {DIVISION_PLACES} decimals"
            raise InvalidPart(self.amount_field, reason) from None


def _sum_of(parts: tuple[Part, ...]) -> Decimal:
    amount = ZERO
    for part in parts:
        amount = EXACT.add(amount, part.amount or ZERO)
    return amount
