"""Terms that price single events: what MATRIX, DYNAMIC and PERCENTAGE per transaction share."""

from abc import abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from typing import ClassVar

from aforo.money import EXACT
from catalog.pricing.kept import negated, with_part
from catalog.pricing.terms import Charge, Part, Terms, Usage, parts_of, usage_of


class ByPart(Terms):
    """Terms whose usage keeps parts. A subclass says what of a part is worth keeping."""

    __slots__ = ()
    keeps_parts: ClassVar[bool] = True

    @abstractmethod
    def _kept(self, part: Part) -> Part:
        """`part` as it is summed; what is kept already comes back as it is."""

    def _standing(self, usage: Decimal | Usage) -> tuple[Part, ...]:
        """The kept parts of `usage`; a bare quantity is one by itself."""
        parts = parts_of(usage)
        return (self._kept(parts[0]),) if len(parts) == 1 else parts

    def charges(self, usage: Decimal | Usage) -> tuple[Charge, ...]:
        held = usage_of(usage)
        return super().charges(Usage(held.quantity, held.count, self._standing(held)))

    @abstractmethod
    def _lines(self, usage: Usage) -> Iterator[Charge]:
        """As `Terms` says, with the parts as they are kept."""

    def add(self, usage: Decimal | Usage, event: Part) -> Usage:
        held, kept = usage_of(usage), self._kept(event)
        quantity = EXACT.add(held.quantity, event.quantity)
        return Usage(quantity, held.count + event.count, with_part(self._standing(held), kept))

    def remove(self, usage: Decimal | Usage, event: Part) -> Usage:
        held, kept = usage_of(usage), negated(self._kept(event))
        quantity = EXACT.subtract(held.quantity, event.quantity)
        return Usage(quantity, held.count - event.count, with_part(self._standing(held), kept))
