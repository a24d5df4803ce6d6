"""Following a JSONPath that jsonpath-ng has read, place by place, and no further than allowed.

Its own `find` remembers the way to all that it passes, a fifth of a millisecond for ten places, and
nothing can stop it; this walk gives the same matches, lazily.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonpath_ng.jsonpath import (
    Child,
    Descendants,
    Fields,
    Index,
    Root,
    Slice,
    This,
    Wildcard,
)

_PAIRS, _STARTS = (Child, Descendants), (Root, This)
STEPS = (*_PAIRS, *_STARTS, Fields, Index, Slice, Wildcard)


class TooMuchWork(ValueError):
    """More places of a payload were looked at than are allowed."""


class TooManyEvents(ValueError):
    """More events would be made of a push than are allowed."""


@dataclass(slots=True)
class Allowance:
    """How many places may still be looked at."""

    left: int

    def spend(self, places: int = 1) -> None:
        """Look at more places; raises TooMuchWork."""
        self.left -= places
        if self.left < 0:
            raise TooMuchWork("finding all that the mappings name takes too many looks")


def matches(path: Any, value: object, allowance: Allowance) -> Iterator[object]:
    """What is at `path`, in the order of the payload. The nodes of `path` are among `STEPS`."""
    allowance.spend()
    if isinstance(path, _STARTS):
        yield value
    elif isinstance(path, _PAIRS):
        for start in matches(path.left, value, allowance):
            around = _within(start, allowance) if isinstance(path, Descendants) else (start,)
            for place in around:
                yield from matches(path.right, place, allowance)
    elif isinstance(path, Fields):
        yield from _members(path, value)
    elif isinstance(path, Wildcard):
        yield from _paid(_children(value), allowance)
    elif isinstance(value, list):
        yield from _paid(_items(path, value), allowance)


def _members(path: Fields, value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from (value[name] for name in path.fields if name in value)


def _items(path: Index | Slice, value: list[Any]) -> list[Any]:
    if isinstance(path, Index):
        size = len(value)
        return [value[index] for index in path.indices if -size <= index < size]
    return [] if path.step == 0 else value[path.start : path.end : path.step]


def _paid(found: list[Any], allowance: Allowance) -> list[Any]:
    allowance.spend(len(found))
    return found


def _within(value: object, allowance: Allowance) -> Iterator[object]:
    """A value and all that is in it, the outer before the inner, however deep that is."""
    waiting = [value]
    while waiting:
        place = waiting.pop()
        yield place
        allowance.spend()
        waiting.extend(reversed(_children(place)))


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
