"""The price curve: what more and more of one thing costs, for people who set prices."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import EXACT, ZERO, divide

SPREAD = 20  # points beside the bounds: enough for a line that looks like the price
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Point:
    """The price of `quantity`: in all, of its last unit alone, and per unit (None for nothing)."""

    quantity: Decimal
    amount: Decimal
    marginal: Decimal
    average: Decimal | None


def curve(
    charge: Callable[[Decimal], Decimal], *, bounds: tuple[Decimal, ...], up_to: Decimal
) -> tuple[Point, ...]:
    """Points from nothing to `up_to`: at every bound, one unit past it, and evenly in between."""
    quantities = {*_spread(up_to), *_around(bounds, up_to)}
    return tuple(_point(charge, quantity) for quantity in sorted(quantities))


def _spread(up_to: Decimal) -> Iterator[Decimal]:
    """Whole numbers, where there are enough of them."""
    for step in range(SPREAD + 1):
        share = EXACT.multiply(up_to, step)
        if step == SPREAD:
            yield up_to
        elif up_to >= SPREAD:
            yield EXACT.divide_int(share, Decimal(SPREAD))
        else:
            yield divide(share, Decimal(SPREAD))


def _around(bounds: tuple[Decimal, ...], up_to: Decimal) -> Iterator[Decimal]:
    for bound in bounds:
        for quantity in (bound, EXACT.add(bound, ONE)):
            if quantity <= up_to:
                yield quantity


def _point(charge: Callable[[Decimal], Decimal], quantity: Decimal) -> Point:
    amount = charge(quantity)
    before = charge(max(ZERO, EXACT.subtract(quantity, ONE)))
    average = divide(amount, quantity) if quantity else None
    return Point(quantity, amount, EXACT.subtract(amount, before), average)
