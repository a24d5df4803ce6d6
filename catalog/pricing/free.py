"""Free: what a trial is priced by. Usage is counted and costs nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import ZERO
from catalog.pricing.terms import Charge, Terms, Usage
from catalog.pricing.wire import WireObject


@dataclass(frozen=True, slots=True)
class Free(Terms):
    """Nothing is due, whatever the usage. No plan can ask for it: it replaces a plan's terms."""

    model: ClassVar[str] = "FREE"

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        wire.refuse_unread(cls.model)
        return cls()

    def as_dict(self) -> dict[str, object]:
        return {"model": self.model}

    def charge(self, usage: Decimal | Usage) -> Decimal:
        return ZERO

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        if usage.quantity > ZERO:
            yield Charge.of("free of charge", usage.quantity, ZERO)

    def with_allowance(self, quantity: Decimal) -> Self:
        return self


FREE = Free()
