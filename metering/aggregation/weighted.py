"""WEIGHTED_SUM: the level that each event sets, weighted by how long of the period it was held.

The level before the first event is the one carried over, or zero; after the last it holds to the
period's end. A total keeps its latest changes; older ones have become an area that stands.
"""

from bisect import bisect_left, insort
from decimal import Decimal
from itertools import pairwise
from typing import Any, Self

from aforo.money import EXACT, ZERO, divide, plain
from metering.aggregation.measure import Measure, Span, State

CHANGES = 64  # of level that a total keeps: what comes older than these waits for the bill run
Change = tuple[int, str, Decimal]  # moment, hash of the key, level


class Weighted(Measure):
    """Supposes that the level stands until the period ends: an estimate until it does.

    Exact as long as no event is older than the changes that are kept.
    """

    __slots__ = ("_area", "_carried", "_changes", "_first", "_folded", "_span")

    def __init__(
        self,
        *,
        span: Span,
        carried: Decimal,
        changes: list[Change],
        first: int | None = None,
        folded: Change | None = None,
        area: Decimal = ZERO,
    ) -> None:
        self._span, self._carried = span, carried
        self._changes = changes
        self._first = first  # moment of the first change of all
        self._folded = folded  # the last change that became area
        self._area = area  # level times microseconds, from the first change to the folded one

    @classmethod
    def from_state(cls, state: Any, *, span: Span, carried: Any = None) -> Self:
        level = ZERO if carried is None else carried
        if not state:
            return cls(span=span, carried=level, changes=[])
        folded = state.get("folded")
        return cls(
            span=span,
            carried=level,
            changes=[_change(one) for one in state["changes"]],
            first=state.get("first"),
            folded=_change(folded) if folded else None,
            area=Decimal(state.get("area", 0)),
        )

    def state(self) -> State:
        kept: State = {"changes": [_spelled(one) for one in self._changes]}
        if self._folded is not None:
            kept |= {
                "first": self._first,
                "folded": _spelled(self._folded),
                "area": plain(self._area),
            }
        return kept

    @property
    def level(self) -> Decimal:
        """What the period ends with, as far as is known: where a recurring unit goes on."""
        if self._changes:
            return self._changes[-1][2]
        return self._carried if self._folded is None else self._folded[2]

    @property
    def quantity(self) -> Decimal:
        start, end = self._span
        changes = self._changes if self._folded is None else [self._folded, *self._changes]
        if not changes:
            return self._carried
        first = changes[0][0] if self._folded is None else self._first or start
        held = EXACT.fma(self._carried, Decimal(first - start), self._area)
        for (since, _, level), (until, _, _) in pairwise(changes):
            held = EXACT.fma(level, Decimal(until - since), held)
        since, _, level = changes[-1]
        return divide(EXACT.fma(level, Decimal(end - since), held), Decimal(end - start))

    def add(self, moment: int, key: str, quantity: Decimal) -> Decimal:
        change = (moment, key, quantity)
        if self._folded is None or change > self._folded:
            insort(self._changes, change)
            if len(self._changes) > CHANGES:
                self._fold()
        return self.quantity

    def remove(self, moment: int, key: str, quantity: Decimal) -> bool:
        change = (moment, key, quantity)
        place = bisect_left(self._changes, change)
        if place < len(self._changes) and self._changes[place] == change:
            del self._changes[place]
        return True

    def _fold(self) -> None:
        """The oldest change becomes area."""
        change = self._changes.pop(0)
        if self._folded is None:
            self._first = change[0]
        else:
            since, _, level = self._folded
            self._area = EXACT.fma(level, Decimal(change[0] - since), self._area)
        self._folded = change


def _change(stored: Any) -> Change:
    moment, key, level = stored
    return moment, key, Decimal(level)


def _spelled(change: Change) -> list[int | str]:
    moment, key, level = change
    return [moment, key, plain(level)]
