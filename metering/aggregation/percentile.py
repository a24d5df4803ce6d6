"""PERCENTILE_95: nearest rank, that is the smallest quantity that 95 % of events do not exceed.

A total keeps a sample: the events whose keys hash lowest. Which those are does not depend on the
order of arrival, and up to `SAMPLE` events they are all there are.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Self

from aforo.money import ZERO, plain
from metering.aggregation.measure import Measure, Span, State

SAMPLE = 200  # 7 KB of state; the rank of an estimate is off by 1.5 points on average


def nearest_rank(ordered: Sequence[Decimal]) -> Decimal:
    """The 95th percentile of quantities in rising order; zero of none."""
    return ordered[(95 * len(ordered) + 99) // 100 - 1] if ordered else ZERO


class Percentile(Measure):
    """An estimate from a sample that fits in a row; exact while the sample holds every event."""

    __slots__ = ("_kept", "_ordered")

    def __init__(self, kept: Iterable[tuple[str, int, Decimal]]) -> None:
        self._kept = sorted(kept)
        self._ordered = sorted(quantity for _, _, quantity in self._kept)

    @classmethod
    def from_state(cls, state: Any, *, span: Span, carried: Any = None) -> Self:  # noqa: ARG003 - as all
        kept = (state or {}).get("sample", ())
        return cls((key, moment, Decimal(quantity)) for key, moment, quantity in kept)

    def state(self) -> State:
        return {"sample": [[key, moment, plain(size)] for key, moment, size in self._kept]}

    @property
    def quantity(self) -> Decimal:
        return nearest_rank(self._ordered)

    def add(self, moment: int, key: str, quantity: Decimal) -> Decimal:
        if len(self._kept) < SAMPLE or (key, moment, quantity) < self._kept[-1]:
            insort(self._kept, (key, moment, quantity))
            insort(self._ordered, quantity)
            if len(self._kept) > SAMPLE:
                self._drop(len(self._kept) - 1)
        return self.quantity

    def remove(self, moment: int, key: str, quantity: Decimal) -> bool:
        one = (key, moment, quantity)
        place = bisect_left(self._kept, one)
        if place < len(self._kept) and self._kept[place] == one:
            self._drop(place)
        return True

    def _drop(self, place: int) -> None:
        _, _, quantity = self._kept.pop(place)
        del self._ordered[bisect_left(self._ordered, quantity)]
