"""Shares: what part of a full period a fee, a minimum or a maximum is due for."""

from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, divide


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`, both in `measure`: seconds, or calendar days of the billing time zone."""

    part: Decimal
    whole: Decimal
    measure: str

    def of(self, amount: Decimal) -> Decimal:
        """The part of a full period's `amount` that is due, to 12 decimals."""
        if self.part == self.whole:
            return amount
        return divide(EXACT.multiply(amount, self.part), self.whole)

    @property
    def clause(self) -> str:
        """How a line names the share; empty when it is all."""
        if self.part == self.whole:
            return ""
        part, whole = self.part.normalize(), self.whole.normalize()
        return f", prorated to {part:,f} of {whole:,f} {self.measure}"


def share_of(
    *, seconds: tuple[Decimal, Decimal], days: tuple[Decimal, Decimal], by_days: bool
) -> Share:
    """The share by one measure or the other, each given as (part, whole)."""
    return Share(*days, "days") if by_days else Share(*seconds, "seconds")
