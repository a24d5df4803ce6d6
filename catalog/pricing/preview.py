"""What some usage would cost under some terms, each dimension priced as its total would be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from aforo.money import EXACT, ZERO
from catalog.pricing.dimensions import dimension_of
from catalog.pricing.dynamic import Dynamic
from catalog.pricing.matrix import Matrix
from catalog.pricing.terms import Charge, InvalidPart, Part, Terms, Usage


@dataclass(frozen=True, slots=True)
class PreviewedEvent:
    """What an event changes the quantity by, its metadata, and the money it brings along."""

    quantity: Decimal
    fields: Mapping[str, object]
    amount: Decimal | None = None


class InvalidEvent(ValueError):
    """An event that cannot be priced: its `index`, the metadata `field`, the `reason`."""

    def __init__(self, index: int, field: str, reason: str) -> None:
        super().__init__(index, field, reason)
        self.index, self.field, self.reason = index, field, reason


@dataclass(frozen=True, slots=True)
class Previewed:
    """The exact amount, its lines by dimension ('' where there is none), and what events added."""

    amount: Decimal
    lines: tuple[tuple[str, Charge], ...]
    marginals: tuple[Decimal, ...]


def preview_events(terms: Terms, events: Sequence[PreviewedEvent]) -> Previewed:
    """Events one by one, each a transaction. Raises InvalidEvent."""
    usages: dict[str, Usage] = {}
    marginals = []
    for index, event in enumerate(events):
        dimension = dimension_of(terms.dimension_keys, event.fields)
        priced = terms.of_dimension(dimension)
        before = usages.get(dimension, Usage(ZERO))
        after = priced.add(before, _part(priced, event, index))
        marginals.append(priced.marginal(before, after))
        usages[dimension] = after
    return _previewed(terms, usages or {"": Usage(ZERO)}, tuple(marginals))


def preview_quantity(terms: Terms, quantity: Decimal, fields: Mapping[str, object]) -> Previewed:
    """An aggregated quantity, all of it with the same metadata and in no transaction."""
    dimension = dimension_of(terms.dimension_keys, fields)
    usage = _usage_at(terms.of_dimension(dimension), quantity, fields)
    return _previewed(terms, {dimension: usage}, ())


def charge_at(terms: Terms, fields: Mapping[str, object]) -> Callable[[Decimal], Decimal]:
    """The price of a quantity, all of it with the same metadata: what a curve is made of."""
    priced = terms.of_dimension(dimension_of(terms.dimension_keys, fields))
    return lambda quantity: priced.charge(_usage_at(priced, quantity, fields))


def _usage_at(terms: Terms, quantity: Decimal, fields: Mapping[str, object]) -> Usage | Decimal:
    if terms.model != Matrix.model:
        return quantity
    return terms.add(Usage(ZERO), replace(terms.part_of(quantity, fields), count=0))


def _previewed(
    terms: Terms, usages: Mapping[str, Usage | Decimal], marginals: tuple[Decimal, ...]
) -> Previewed:
    amount, lines = ZERO, []
    for dimension, usage in sorted(usages.items(), key=lambda item: item[0]):
        priced = terms.of_dimension(dimension)
        amount = EXACT.add(amount, priced.charge(usage))
        lines += [(dimension, charge) for charge in priced.charges(usage)]
    return Previewed(amount, tuple(lines), marginals)


def _part(terms: Terms, event: PreviewedEvent, index: int) -> Part:
    fields = dict(event.fields)
    if event.amount is not None and terms.model == Dynamic.model:
        fields |= dict.fromkeys(terms.part_keys, event.amount)
    try:
        return terms.part_of(event.quantity, fields)
    except InvalidPart as error:
        raise InvalidEvent(index, error.field, error.reason) from error
