"""Matrix pricing: each event at the rate of the cell that its metadata falls in.

Of the cells that match, the one that names most values wins; of two that name as many, the one
that names the value of an earlier dimension.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import ClassVar, Self

from aforo.money import EXACT, ZERO, plain
from catalog.pricing.by_part import ByPart
from catalog.pricing.dimensions import text_in
from catalog.pricing.terms import Charge, Part, Usage
from catalog.pricing.wire import InvalidTerms, WireObject

ANY = "*"
MOST_DIMENSIONS = 3
MOST_CELLS = 1000  # a total keeps one sum per cell that was used, and prices them all per event

Values = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """The rate of a unit with these values, one per dimension; `*` is any."""

    values: Values
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Matrix(ByPart):
    """The rate of each event's cell, else `default_rate`; some rate always applies."""

    model: ClassVar[str] = "MATRIX"

    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...]
    default_rate: Decimal | None = None
    _rates: dict[Values, Decimal] = field(init=False, repr=False, compare=False)
    _rates_kept: dict[Pairs, Decimal] = field(init=False, repr=False, compare=False)
    _masks: tuple[tuple[bool, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rates: dict[Values, Decimal] = {}
        for index, cell in enumerate(self.cells):
            if cell.values in rates:
                raise InvalidTerms(f"cells[{index}].values", "has a rate already")
            rates[cell.values] = cell.rate
        catches_all = (ANY,) * len(self.dimensions) in rates
        if catches_all and self.default_rate is not None:
            raise InvalidTerms("defaultRate", "must be absent, as a cell of `*` alone matches all")
        if not catches_all and self.default_rate is None:
            reason = "is required, unless a cell of `*` alone prices what no other cell does"
            raise InvalidTerms("defaultRate", reason)
        masks = product((True, False), repeat=len(self.dimensions))
        object.__setattr__(self, "_rates", rates)
        kept = {self._pairs(values): rate for values, rate in rates.items()}
        default = {} if self.default_rate is None else {(): self.default_rate}
        object.__setattr__(self, "_rates_kept", kept | default)
        # A stable sort: `product` has masks that name earlier dimensions first.
        object.__setattr__(self, "_masks", tuple(sorted(masks, key=sum, reverse=True)))

    @classmethod
    def parse(cls, wire: WireObject) -> Self:
        wire.require("dimensions")
        dimensions = wire.names("dimensions", most=MOST_DIMENSIONS)
        if not dimensions:
            raise wire.refused("dimensions", "must name at least one metadata key")
        cells = []
        for cell in wire.some_objects("cells", most=MOST_CELLS):
            cells.append(Cell(_values(cell, dimensions), cell.money("rate")))
            cell.refuse_unread("a cell")
        return cls(dimensions, tuple(cells), wire.optional_money("defaultRate"))

    def as_dict(self) -> dict[str, object]:
        cells = [
            {
                "values": dict(zip(self.dimensions, cell.values, strict=True)),
                "rate": plain(cell.rate),
            }
            for cell in self.cells
        ]
        default = {} if self.default_rate is None else {"defaultRate": plain(self.default_rate)}
        return {
            "model": self.model,
            "dimensions": list(self.dimensions),
            "cells": cells,
            **default,
        }

    @property
    def part_keys(self) -> tuple[str, ...]:
        return self.dimensions

    def part_of(self, quantity: Decimal, fields: Mapping[str, object]) -> Part:
        pairs = tuple((key, text_in(fields, key)) for key in self.dimensions)
        return Part(quantity, dimensions=pairs)

    def charge(self, usage: Decimal | Usage) -> Decimal:
        due = ZERO
        rates = self._rates_kept
        for part in self._standing(usage):
            if part.quantity > ZERO:
                due = EXACT.fma(part.quantity, rates[part.dimensions], due)
        return due

    def _lines(self, usage: Usage) -> Iterator[Charge]:
        """One line per cell that was used."""
        for part in usage.parts:
            if part.quantity > ZERO:
                label = ", ".join(f"{key} {value}" for key, value in part.dimensions)
                rate = self._rates_kept[part.dimensions]
                yield Charge.of(label or "any other", part.quantity, rate)

    def _kept(self, part: Part) -> Part:
        values = self._cell_of(part.dimensions)
        pairs = () if values is None else self._pairs(values)
        return Part(part.quantity, part.count, None, pairs)

    def _pairs(self, values: Values) -> Pairs:
        return tuple(zip(self.dimensions, values, strict=True))

    def _cell_of(self, dimensions: Pairs) -> Values | None:
        """The values of the cell that wins; None where only the default rate is left."""
        given = dict(dimensions)
        values = [given.get(key, "") for key in self.dimensions]
        for mask in self._masks:
            cell = tuple(value if named else ANY for value, named in zip(values, mask, strict=True))
            if cell in self._rates:
                return cell
        return None


def _values(cell: WireObject, dimensions: tuple[str, ...]) -> Values:
    """The cell's values in order of the dimensions; one that is left out is any."""
    given = cell.mapping("values")
    for key in given:
        if key not in dimensions:
            raise cell.refused(f"values.{key}", "is not one of the dimensions")
    values = []
    for key in dimensions:
        value = given.get(key, ANY)
        if not isinstance(value, str) or not value or "\0" in value:
            raise cell.refused(f"values.{key}", "must be a text that is not empty; `*` is any")
        values.append(value)
    return tuple(values)
