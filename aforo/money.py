"""Money: exact Decimals, one currency at a time, rounded once per invoice line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from functools import cache
from typing import Self

from iso4217 import Currency

ZERO = Decimal(0)

# 36-digit quantities (24 + 12) times 38-digit rates, summed over a trillion events: 86 digits.
# The precision costs nothing until digits are really there; Inexact makes a lost digit an error.
EXACT = Context(
    prec=100,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
_DIVISION = Context(
    prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
DIVISION_PLACES = 12
_QUANTUM = Decimal(1).scaleb(-DIVISION_PLACES)


@contextmanager
def exact() -> Iterator[Context]:
    """Decimal arithmetic in which no digit can be lost in silence (raises `decimal.Inexact`)."""
    with localcontext(EXACT) as context:
        yield context


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """The one division of the project: HALF_EVEN to 12 decimals.

    The quotient is first rounded towards the nearest at 200 digits, far beyond the 12 decimals,
    so that rounding twice cannot be told from rounding once for the digits we accept.
    """
    with localcontext(_DIVISION):
        return (dividend / divisor).quantize(_QUANTUM)


def plain(value: Decimal) -> str:
    """`value` without exponent or trailing zeros: its one spelling in hashes and JSON."""
    if not value:
        return "0"
    text = str(value)  # a third of the cost of `format`, which only exponents need
    if "E" in text:
        text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@cache
def minor_units(currency: str) -> int:
    """Decimals of an ISO 4217 currency: USD 2, JPY 0, KWD 3; raises ValueError when unknown."""
    exponent = Currency(currency).exponent
    if exponent is None:
        raise ValueError(f"{currency} has no minor unit and cannot be invoiced")
    return exponent


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency."""

    amount: Decimal
    currency: str

    def __add__(self, other: Self) -> Self:
        self._must_match(other)
        with exact():
            return type(self)(self.amount + other.amount, self.currency)

    def __sub__(self, other: Self) -> Self:
        self._must_match(other)
        with exact():
            return type(self)(self.amount - other.amount, self.currency)

    def __neg__(self) -> Self:
        return type(self)(EXACT.minus(self.amount), self.currency)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def rounded(self) -> Self:
        """HALF_EVEN to the currency's minor unit: what an invoice line shows."""
        return type(self)(round_to_minor(self.amount, self.currency), self.currency)

    def _must_match(self, other: Self) -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")


def round_to_minor(amount: Decimal, currency: str) -> Decimal:
    """`amount` HALF_EVEN to the minor unit of `currency`."""
    with localcontext(_DIVISION):
        return amount.quantize(Decimal(1).scaleb(-minor_units(currency)))
