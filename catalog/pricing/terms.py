"""What every pricing model is made of: usage goes in, charges come out, terms stand between.

Nothing here divides, rounds or reads the ambient decimal context: amounts are exact whoever calls.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, exact
from catalog.pricing.wire import InvalidTerms, WireObject


@dataclass(frozen=True, slots=True)
class Part:
    """One event's own contribution to the usage of a period.

    `quantity` is what the event changes the aggregated quantity by, `count` how many transactions
    it stands for, `amount` the money it brings along, `dimensions` its (key, value) pairs.
    """

    quantity: Decimal
    count: int = 1
    amount: Decimal | None = None
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Gross usage of one billable unit: aggregated quantity, transactions, and kept parts.

    `parts` holds what models need that price single events, as little of it as they can do with;
    without any, a quantity is a single part of no transactions. Quantities are finite; one below
    zero is priced as zero.
    """

    quantity: Decimal
    count: int = 0
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a charge that explains itself.

    `quantity` is the units (or the money, or the transactions) the line covers, zero for a fee.
    Where `unit_price` is given, `quantity * unit_price == amount`. Amounts are not rounded.
    """

    label: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Decimal

    @classmethod
    def of(cls, label: str, quantity: Decimal, unit_price: Decimal) -> Self:
        """A line of so many units at one price."""
        return cls(label, quantity, unit_price, EXACT.multiply(quantity, unit_price))

    @classmethod
    def fee(cls, label: str, amount: Decimal, *, quantity: Decimal = ZERO) -> Self:
        """A line whose amount does not follow from a price per unit."""
        return cls(label, quantity, None, amount)


def usage_of(usage: Decimal | Usage) -> Usage:
    """`usage` itself; a bare Decimal above zero becomes a single part without transactions."""
    if isinstance(usage, Usage):
        return usage
    return Usage(usage, 0, (Part(usage, count=0),) if usage > ZERO else ())


def parts_of(usage: Decimal | Usage) -> tuple[Part, ...]:
    """The parts that `usage` is made of: those it keeps, else all of it as a single one."""
    if isinstance(usage, Usage):
        return usage.parts or usage_of(usage.quantity).parts
    return usage_of(usage).parts


class InvalidPart(ValueError):
    """An event that its terms cannot price; `field` is the metadata key, `reason` what is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class Terms(ABC):
    """The terms of one pricing model: frozen, and free of contradictions once built."""

    __slots__ = ()
    model: ClassVar[str]
    counts_transactions: ClassVar[bool] = False
    """Whether the charge looks at `Usage.count`; where not, a bare quantity says as much."""
    keeps_parts: ClassVar[bool] = False
    """Whether the charge looks at `Usage.parts`, which `add` and `remove` keep."""

    @classmethod
    @abstractmethod
    def parse(cls, wire: WireObject) -> Self:
        """Terms from their wire form; InvalidTerms names the field that is wrong."""

    @abstractmethod
    def as_dict(self) -> dict[str, object]:
        """The canonical wire form: `parse_terms` makes equal terms of it."""

    @abstractmethod
    def charge(self, usage: Decimal | Usage) -> Decimal:
        """The exact, unrounded price of gross `usage`: the sum of `charges`.

        Called once per event, so it spells its arithmetic with the methods of `EXACT` (80 ns each)
        where entering a decimal context would cost 500 ns, and is exact under any context.
        """

    @abstractmethod
    def _lines(self, usage: Usage) -> Iterator[Charge]:
        """What `charges` returns, computed within the `exact()` that it enters."""

    def charges(self, usage: Decimal | Usage) -> tuple[Charge, ...]:
        """The price of gross `usage`, line by line; free units are lines of zero."""
        with exact():
            return tuple(self._lines(usage_of(usage)))

    def marginal(self, before: Decimal | Usage, after: Decimal | Usage) -> Decimal:
        """What going from `before` to `after` adds to the charge; negative under some models."""
        return EXACT.subtract(self.charge(after), self.charge(before))

    @property
    def included_free(self) -> Decimal:
        """Units that cost nothing each period; zero for models without an allowance."""
        return ZERO

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        """Quantities at which the price of a further unit changes, the lowest first."""
        return (self.included_free,) if self.included_free else ()

    @property
    def has_hard_limit(self) -> bool:
        """Whether units beyond the allowance are denied and never billed."""
        return False

    def without_allowance(self) -> Self:
        """The same terms for a quantity from which the allowance is already subtracted."""
        return self

    def with_allowance(self, quantity: Decimal) -> Self:
        """The same terms with `quantity` free units; InvalidTerms where the model has none."""
        raise InvalidTerms("includedFree", f"{self.model} has no allowance")

    def prorated(self, part: Decimal, whole: Decimal) -> Self:
        """The same terms for `part` of a period that lasts `whole` (above zero, same measure).

        Only money that is due once per period whatever the usage is scaled.
        """
        return self

    @property
    def part_keys(self) -> tuple[str, ...]:
        """Metadata keys that `part_of` reads."""
        return ()

    @property
    def dimension_keys(self) -> tuple[str, ...]:
        """Metadata keys whose every combination of values has a total of its own, sorted."""
        return ()

    def of_dimension(self, dimension: str) -> "Terms":
        """The terms for one total, by its `dimension_of` the keys; the same terms when asked twice.

        Tiers and allowance begin anew in every dimension.
        """
        return self

    def measured(self, quantity: Decimal) -> Decimal:
        """What an aggregated quantity is priced as: converted and rounded as its unit asks."""
        return quantity

    def unmeasured(self) -> "Terms":
        """The same terms for quantities that are measured already."""
        return self

    def part_of(self, quantity: Decimal, fields: Mapping[str, object]) -> Part:
        """One event as a part: what it changes the quantity by, and what `part_keys` say of it.

        Raises InvalidPart when the event lacks what it is priced by.
        """
        return Part(quantity)

    def add(self, usage: Decimal | Usage, event: Part) -> Usage:
        """`usage` after `event`. Models that price single events keep here what they need of it."""
        held = usage_of(usage)
        return Usage(EXACT.add(held.quantity, event.quantity), held.count + event.count)

    def remove(self, usage: Decimal | Usage, event: Part) -> Usage:
        """`usage` as if `event` had never been added to it."""
        held = usage_of(usage)
        return Usage(EXACT.subtract(held.quantity, event.quantity), held.count - event.count)
