"""Parts that a model keeps: summed by what they have in common, so that there are only so many.

A sum does not know in which order it was made, and taking a part away undoes adding it.
"""

from bisect import bisect_left
from decimal import Decimal
from operator import attrgetter

from aforo.money import EXACT, ZERO
from catalog.pricing.terms import Part

_DIMENSIONS = attrgetter("dimensions")


def with_part(parts: tuple[Part, ...], part: Part) -> tuple[Part, ...]:
    """`parts` and one more: added to the one of the same dimensions, in order of dimensions."""
    place = bisect_left(parts, part.dimensions, key=_DIMENSIONS)
    rest = place
    if place < len(parts) and parts[place].dimensions == part.dimensions:
        part = _sum(parts[place], part)
        rest += 1
    is_something = part.quantity or part.count or part.amount
    return (*parts[:place], *((part,) if is_something else ()), *parts[rest:])


def negated(part: Part) -> Part:
    """What undoes `part`."""
    amount = None if part.amount is None else EXACT.minus(part.amount)
    return Part(EXACT.minus(part.quantity), -part.count, amount, part.dimensions)


def _sum(one: Part, other: Part) -> Part:
    quantity = EXACT.add(one.quantity, other.quantity)
    count = one.count + other.count
    return Part(quantity, count, _sum_of_amounts(one.amount, other.amount), one.dimensions)


def _sum_of_amounts(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None and other is None:
        return None
    return EXACT.add(one or ZERO, other or ZERO)
