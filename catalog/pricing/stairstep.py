"""Stairstep: one price for the step that the total reaches, however much of it is used.

A later step may be cheaper than an earlier one, so marginals may be negative.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.tiers import bands, end_on_the_wire, finite_ends
from catalog.pricing.wire import InvalidTerms, WireObject


@dataclass(frozen=True, slots=True)
class Step:
    """One price for any total above the previous step, up to and including `tier_end`."""

    tier_end: Decimal | None
    price: Decimal


@dataclass(frozen=True, slots=True)
class Stairstep(Terms):
    """The price of the step reached.

    Above the last step either `overage_rate` is due for each unit more, on top of that step's
    price, or the last step is open and its price is final: never both, never neither.
    """

    model: ClassVar[str] = "STAIRSTEP"

    steps: tuple[Step, ...]
    overage_rate: Decimal | None = None
    _ends: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = finite_ends([step.tier_end for step in self.steps], name="steps")
        is_open = len(ends) < len(self.steps)
        if is_open and self.overage_rate is not None:
            raise InvalidTerms("overageRate", "must be absent, as the last step is open")
        if not is_open and self.overage_rate is None:
            reason = f"is required, as nothing else prices units above {plain(ends[-1])}"
            raise InvalidTerms("overageRate", reason)
        object.__setattr__(self, "_ends", ends)

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        steps = []
        for band, end in bands(wire, "steps"):
            steps.append(Step(end, band.money("price")))
            band.refuse_unread("a step")
        return cls(tuple(steps), wire.optional_money("overageRate"))

    def as_dict(self) -> dict[str, object]:
        steps = [
            {"tierEnd": end_on_the_wire(step.tier_end), "price": plain(step.price)}
            for step in self.steps
        ]
        rate = self.overage_rate
        overage = {} if rate is None else {"overageRate": plain(rate)}
        return {"model": self.model, "steps": steps, **overage}

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        return self._ends

    def charge(self, usage: Decimal | Usage) -> Decimal:
        quantity = usage if isinstance(usage, Decimal) else usage.quantity
        if quantity <= ZERO:
            return ZERO
        index = bisect_left(self._ends, quantity)
        if self.overage_rate is None or index < len(self._ends):
            return self.steps[index].price
        excess = EXACT.subtract(quantity, self._ends[-1])
        return EXACT.fma(excess, self.overage_rate, self.steps[-1].price)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        if usage.quantity <= ZERO:
            return
        index = min(bisect_left(self._ends, usage.quantity), len(self.steps) - 1)
        step = self.steps[index]
        top = usage.quantity if step.tier_end is None else min(usage.quantity, step.tier_end)
        yield Charge.fee(f"step {index + 1}", step.price, quantity=top)
        if self.overage_rate is not None and usage.quantity > top:
            yield Charge.of("overage", usage.quantity - top, self.overage_rate)
