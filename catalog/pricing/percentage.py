"""Percentage: a share of the money that was moved, and a fixed fee per transaction."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.wire import InvalidTerms, WireObject


@dataclass(frozen=True, slots=True)
class Percentage(Terms):
    """`rate_percent` (2.9 is 2.9 %) of the money above `free_amount`, held within the two fees.

    `fixed_fee` comes on top for each transaction after the `free_transactions`; the minimum and
    maximum fee do not see it. The minimum fee is due even when nothing was moved.
    """

    model: ClassVar[str] = "PERCENTAGE"
    counts_transactions: ClassVar[bool] = True

    rate_percent: Decimal
    min_fee: Decimal | None = None
    max_fee: Decimal | None = None
    fixed_fee: Decimal = ZERO
    free_transactions: int = 0
    free_amount: Decimal = ZERO
    _share: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.min_fee is not None and self.max_fee is not None and self.min_fee > self.max_fee:
            raise InvalidTerms("minFee", f"must not be above maxFee, {plain(self.max_fee)}")
        object.__setattr__(self, "_share", EXACT.scaleb(self.rate_percent, -2))

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        return cls(
            rate_percent=wire.money("ratePercent"),
            min_fee=wire.optional_money("minFee"),
            max_fee=wire.optional_money("maxFee"),
            fixed_fee=wire.optional_money("fixedFee") or ZERO,
            free_transactions=wire.whole("freeTransactions"),
            free_amount=wire.quantity("freeAmount"),
        )

    def as_dict(self) -> dict[str, object]:
        limits = {"minFee": self.min_fee, "maxFee": self.max_fee}
        return {
            "model": self.model,
            "ratePercent": plain(self.rate_percent),
            **{key: plain(fee) for key, fee in limits.items() if fee is not None},
            "fixedFee": plain(self.fixed_fee),
            "freeTransactions": self.free_transactions,
            "freeAmount": plain(self.free_amount),
        }

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        return (self.free_amount,) if self.free_amount else ()

    def charge(self, usage: Decimal | Usage) -> Decimal:
        quantity, count = (
            (usage, 0) if isinstance(usage, Decimal) else (usage.quantity, usage.count)
        )
        fee = ZERO
        if quantity > self.free_amount:
            fee = EXACT.multiply(EXACT.subtract(quantity, self.free_amount), self._share)
        fee = self._within_limits(fee)
        paid = count - self.free_transactions
        return EXACT.fma(paid, self.fixed_fee, fee) if paid > 0 else fee

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        fee = ZERO
        free = min(usage.quantity, self.free_amount)
        if free > ZERO:
            yield Charge.of("free amount", free, ZERO)
        if usage.quantity > self.free_amount:
            share = Charge.of(
                f"{plain(self.rate_percent)} %", usage.quantity - self.free_amount, self._share
            )
            fee = share.amount
            yield share
        limited = self._within_limits(fee)
        if limited != fee:
            limit = "minimum" if limited > fee else "maximum"
            yield Charge.fee(f"{limit} fee of {plain(limited)}", limited - fee)
        if self.fixed_fee:
            yield from self._transaction_lines(usage.count)

    def _within_limits(self, fee: Decimal) -> Decimal:
        if self.min_fee is not None and fee < self.min_fee:
            return self.min_fee
        if self.max_fee is not None and fee > self.max_fee:
            return self.max_fee
        return fee

    def _transaction_lines(self, count: int) -> Iterator[Charge]:
        free = min(count, self.free_transactions)
        if free > 0:
            yield Charge.of("free transactions", Decimal(free), ZERO)
        if count > free:
            yield Charge.of("transactions", Decimal(count - free), self.fixed_fee)
