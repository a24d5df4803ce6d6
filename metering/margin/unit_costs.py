"""What one unit costs: rate cards, compiled once, so that a drain asks nobody."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from catalog.pricing.dimensions import dimension_of, values_in


@dataclass(frozen=True, slots=True)
class CardPrice:
    """One unit costs `unit_price` during [valid_from, valid_until), where `dimension` matches."""

    dimension: str
    unit_price: Decimal
    valid_from: datetime
    valid_until: datetime | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The metadata keys that it looks at."""
        return tuple(sorted(values_in(self.dimension)))


class UnitCosts:
    """The cards of one unit in one currency; where none holds, `otherwise`.

    Of several that hold for an event, the one with the most keys counts; of as many, the one whose
    keys come first in the alphabet.
    """

    __slots__ = ("_groups", "looks_inside", "otherwise")

    def __init__(self, cards: Iterable[CardPrice], *, otherwise: Decimal) -> None:
        groups: defaultdict[tuple[str, ...], dict[str, list[CardPrice]]] = defaultdict(dict)
        for card in cards:
            groups[card.keys].setdefault(card.dimension, []).append(card)
        self._groups = sorted(groups.items(), key=lambda group: (-len(group[0]), group[0]))
        self.looks_inside = any(groups)
        self.otherwise = otherwise

    def of(self, fields: Mapping[str, object], occurred: datetime) -> Decimal:
        """What one unit of an event costs, by its fields and its time."""
        for keys, by_dimension in self._groups:
            for card in by_dimension.get(dimension_of(keys, fields), ()):
                if card.valid_from <= occurred and (
                    card.valid_until is None or occurred < card.valid_until
                ):
                    return card.unit_price
        return self.otherwise
