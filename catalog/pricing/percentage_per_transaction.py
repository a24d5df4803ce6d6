"""Percentage per transaction: each event's share of money is held within two fees by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.by_part import ByPart
from catalog.pricing.terms import Charge, Part, Usage
from catalog.pricing.wire import InvalidTerms, WireObject

KEYS = ("minPerTransaction", "maxPerTransaction")
_EXCLUDED = ("freeTransactions", "freeAmount")
_BAND = "fee"
_MINIMUM, _SHARE, _MAXIMUM = "minimum", "share", "maximum"


@dataclass(frozen=True, slots=True)
class PercentagePerTransaction(ByPart):
    """`rate_percent` of each event's money, never below `min_` or above `max_per_transaction`.

    `fixed_fee` comes on top for each transaction. The sum of the shares, without fixed fees, is
    held within `min_fee` and `max_fee` of the period; the minimum is due even when nothing was
    moved. What is kept are three sums: of the events at the minimum, between, at the maximum.
    """

    model: ClassVar[str] = "PERCENTAGE"
    counts_transactions: ClassVar[bool] = True

    rate_percent: Decimal
    min_per_transaction: Decimal | None = None
    max_per_transaction: Decimal | None = None
    min_fee: Decimal | None = None
    max_fee: Decimal | None = None
    fixed_fee: Decimal = ZERO
    _share: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limits = (
            ("minPerTransaction", self.min_per_transaction, self.max_per_transaction),
            ("minFee", self.min_fee, self.max_fee),
        )
        for name, least, most in limits:
            if least is not None and most is not None and least > most:
                raise InvalidTerms(name, f"must not be above the maximum, {plain(most)}")
        object.__setattr__(self, "_share", EXACT.scaleb(self.rate_percent, -2))

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        for key in _EXCLUDED:
            if wire.quantity(key):
                reason = "must be absent: each transaction is priced by itself"
                raise wire.refused(key, reason)
        return cls(
            rate_percent=wire.money("ratePercent"),
            min_per_transaction=wire.optional_money("minPerTransaction"),
            max_per_transaction=wire.optional_money("maxPerTransaction"),
            min_fee=wire.optional_money("minFee"),
            max_fee=wire.optional_money("maxFee"),
            fixed_fee=wire.optional_money("fixedFee") or ZERO,
        )

    def as_dict(self) -> dict[str, object]:
        limits = {
            "minPerTransaction": self.min_per_transaction,
            "maxPerTransaction": self.max_per_transaction,
            "minFee": self.min_fee,
            "maxFee": self.max_fee,
        }
        return {
            "model": self.model,
            "ratePercent": plain(self.rate_percent),
            **{key: plain(fee) for key, fee in limits.items() if fee is not None},
            "fixedFee": plain(self.fixed_fee),
        }

    def charge(self, usage: Decimal | Usage) -> Decimal:
        fee = ZERO
        for part in self._standing(usage):
            fee = EXACT.add(fee, self._fee_of(part))
        fee = _within(fee, self.min_fee, self.max_fee)
        count = 0 if isinstance(usage, Decimal) else usage.count
        return EXACT.fma(count, self.fixed_fee, fee)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        fee = ZERO
        for part in usage.parts:
            line = self._line_of(part)
            fee += line.amount
            yield line
        limited = _within(fee, self.min_fee, self.max_fee)
        if limited != fee:
            limit = "minimum" if limited > fee else "maximum"
            yield Charge.fee(f"{limit} fee of {plain(limited)}", limited - fee)
        if self.fixed_fee and usage.count:
            yield Charge.of("transactions", Decimal(usage.count), self.fixed_fee)

    def _kept(self, part: Part) -> Part:
        """One event by its band, counted once; what is kept already has a band."""
        if part.dimensions and part.dimensions[0][0] == _BAND:
            return part
        share = EXACT.multiply(part.quantity, self._share) if part.quantity > ZERO else ZERO
        band = _SHARE
        if self.min_per_transaction is not None and share <= self.min_per_transaction:
            band = _MINIMUM
        elif self.max_per_transaction is not None and share >= self.max_per_transaction:
            band = _MAXIMUM
        quantity = max(part.quantity, ZERO) if band == _SHARE else ZERO
        return Part(quantity, 1, None, ((_BAND, band),))

    def _fee_of(self, part: Part) -> Decimal:
        """What one of the three sums is worth: its money's share, or so many times a limit."""
        band = part.dimensions[0][1]
        if band == _SHARE:
            return EXACT.multiply(part.quantity, self._share)
        return EXACT.multiply(Decimal(part.count), self._limit(band))

    def _line_of(self, part: Part) -> Charge:
        band = part.dimensions[0][1]
        if band == _SHARE:
            return Charge.of(f"{plain(self.rate_percent)} %", part.quantity, self._share)
        limit = self._limit(band)
        label = f"transactions at the {band} of {plain(limit)}"
        return Charge.of(label, Decimal(part.count), limit)

    def _limit(self, band: str) -> Decimal:
        limit = self.min_per_transaction if band == _MINIMUM else self.max_per_transaction
        return ZERO if limit is None else limit


def _within(fee: Decimal, least: Decimal | None, most: Decimal | None) -> Decimal:
    if least is not None and fee < least:
        return least
    if most is not None and fee > most:
        return most
    return fee
