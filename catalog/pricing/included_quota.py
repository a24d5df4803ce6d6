"""Included quota: a number of units is part of the plan, the overage is sold by unit or block."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.wire import InvalidTerms, WireObject


class OverageBehavior(StrEnum):
    """What becomes of units beyond the quota."""

    CHARGE = "CHARGE"
    BLOCK = "BLOCK"  # access is denied at the limit; what still slips through is not billable
    IGNORE = "IGNORE"  # counted and shown, never charged


_UNCHARGED = {
    OverageBehavior.BLOCK: "beyond the limit, not billable",
    OverageBehavior.IGNORE: "overage, not charged",
}


@dataclass(frozen=True, slots=True)
class IncludedQuota(Terms):
    """`rate` per unit of overage or, with a `block_size`, per block begun."""

    model: ClassVar[str] = "INCLUDED_QUOTA"

    rate: Decimal
    included_free: Decimal = ZERO
    block_size: Decimal | None = None
    ov_behavior: OverageBehavior = OverageBehavior.CHARGE

    def __post_init__(self) -> None:
        if self.included_free < ZERO:
            raise InvalidTerms("includedFree", "must not be negative")
        if self.block_size is not None and self.block_size <= ZERO:
            raise InvalidTerms("blockSize", "must be above 0")

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        wire.require("includedFree")
        behavior = OverageBehavior(
            wire.choice("ovBehavior", OverageBehavior, default=OverageBehavior.CHARGE)
        )
        if behavior is OverageBehavior.CHARGE:
            wire.require("rate")
        return cls(
            rate=wire.optional_money("rate") or ZERO,
            included_free=wire.quantity("includedFree"),
            block_size=wire.optional_number("blockSize"),
            ov_behavior=behavior,
        )

    def as_dict(self) -> dict[str, object]:
        block = {} if self.block_size is None else {"blockSize": plain(self.block_size)}
        return {
            "model": self.model,
            "includedFree": plain(self.included_free),
            "rate": plain(self.rate),
            **block,
            "ovBehavior": self.ov_behavior.value,
        }

    def charge(self, usage: Decimal | Usage) -> Decimal:
        quantity = usage if isinstance(usage, Decimal) else usage.quantity
        if quantity <= self.included_free or self.ov_behavior is not OverageBehavior.CHARGE:
            return ZERO
        overage = EXACT.subtract(quantity, self.included_free)
        if self.block_size is None:
            return EXACT.multiply(overage, self.rate)
        return EXACT.multiply(blocks_begun(overage, self.block_size), self.rate)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        included = min(usage.quantity, self.included_free)
        if included > ZERO:
            yield Charge.of("included", included, ZERO)
        if usage.quantity > self.included_free:
            yield self._overage_line(usage.quantity - self.included_free)

    @property
    def has_hard_limit(self) -> bool:
        return self.ov_behavior is OverageBehavior.BLOCK

    def without_allowance(self) -> Self:
        return replace(self, included_free=ZERO)

    def with_allowance(self, quantity: Decimal) -> Self:
        return replace(self, included_free=quantity)

    def _overage_line(self, overage: Decimal) -> Charge:
        if self.ov_behavior is not OverageBehavior.CHARGE:
            return Charge.of(_UNCHARGED[self.ov_behavior], overage, ZERO)
        if self.block_size is None:
            return Charge.of("overage", overage, self.rate)
        count = blocks_begun(overage, self.block_size)
        noun = "block" if count == 1 else "blocks"
        label = f"overage, {plain(count)} {noun} of {plain(self.block_size)} at {plain(self.rate)}"
        return Charge.fee(label, count * self.rate, quantity=overage)


def blocks_begun(quantity: Decimal, size: Decimal) -> Decimal:
    """How many blocks of `size` hold `quantity`, the last one perhaps not full.

    Whole-number division with a remainder: no quotient is rounded.
    """
    full, rest = EXACT.divmod(quantity, size)
    return EXACT.add(full, 1) if rest else full
