"""Terms around other terms: what every such wrapper leaves to the terms within."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from catalog.pricing.terms import Charge, Part, Terms, Usage
from catalog.pricing.wire import WireObject


@dataclass(frozen=True, slots=True)
class Wrapped(Terms):
    """`inner` with something said beside its model: a subclass changes only what that is about."""

    inner: Terms

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        raise NotImplementedError("the model is parsed first, then what is said beside it")

    @property
    def model(self) -> str:  # type: ignore[override]  # the model is that of the inner terms
        return self.inner.model

    @property
    def counts_transactions(self) -> bool:  # type: ignore[override]  # as the inner terms say
        return self.inner.counts_transactions

    @property
    def keeps_parts(self) -> bool:  # type: ignore[override]  # as the inner terms say
        return self.inner.keeps_parts

    @property
    def part_keys(self) -> tuple[str, ...]:
        return self.inner.part_keys

    @property
    def dimension_keys(self) -> tuple[str, ...]:
        return self.inner.dimension_keys

    @property
    def included_free(self) -> Decimal:
        return self.inner.included_free

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        return self.inner.bounds

    @property
    def has_hard_limit(self) -> bool:
        return self.inner.has_hard_limit

    @abstractmethod
    def said_beside(self) -> dict[str, object]:
        """The wire form of what this wrapper adds to its inner terms."""

    def as_dict(self) -> dict[str, object]:
        return self.inner.as_dict() | self.said_beside()

    def charge(self, usage: Decimal | Usage) -> Decimal:
        return self.inner.charge(usage)

    def charges(self, usage: Decimal | Usage) -> tuple[Charge, ...]:
        return self.inner.charges(usage)

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        yield from self.inner.charges(usage)

    def of_dimension(self, dimension: str) -> Terms:
        return self._around(self.inner.of_dimension(dimension))

    def measured(self, quantity: Decimal) -> Decimal:
        return self.inner.measured(quantity)

    def unmeasured(self) -> Terms:
        return self._around(self.inner.unmeasured())

    def without_allowance(self) -> Self:
        return self._around(self.inner.without_allowance())

    def with_allowance(self, quantity: Decimal) -> Self:
        return self._around(self.inner.with_allowance(quantity))

    def prorated(self, part: Decimal, whole: Decimal) -> Self:
        return self._around(self.inner.prorated(part, whole))

    def part_of(self, quantity: Decimal, fields: Mapping[str, object]) -> Part:
        return self.inner.part_of(quantity, fields)

    def add(self, usage: Decimal | Usage, event: Part) -> Usage:
        return self.inner.add(usage, event)

    def remove(self, usage: Decimal | Usage, event: Part) -> Usage:
        return self.inner.remove(usage, event)

    def _around(self, inner: Terms) -> Self:
        return self if inner is self.inner else replace(self, inner=inner)


@dataclass(frozen=True, slots=True)
class Credited(Wrapped):
    """Terms that may pay money back: their numbers may be below zero."""

    def said_beside(self) -> dict[str, object]:
        return {"creditsAllowed": True}
