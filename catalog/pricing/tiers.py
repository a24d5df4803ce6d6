"""Tiers: the bands of a quantity, each up to and including its end, the last one open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import ZERO, plain
from catalog.pricing.wire import InvalidTerms, WireObject

OPEN = Decimal(-1)  # how the wire spells "no end"; null and an absent key say the same


@dataclass(frozen=True, slots=True)
class Tier:
    """Units above the previous tier, up to and including `tier_end` (None: no end)."""

    tier_end: Decimal | None
    unit_price: Decimal
    flat_fee: Decimal = ZERO


def finite_ends(ends: Sequence[Decimal | None], *, name: str) -> tuple[Decimal, ...]:
    """The ends that are numbers; InvalidTerms unless they increase and only the last is open.

    `bisect_left` on them gives the index of the band that holds a quantity above zero.
    """
    if not ends:
        raise InvalidTerms(name, "must be a list of at least one object")
    low = ZERO
    for index, end in enumerate(ends[:-1]):
        if end is None:
            raise InvalidTerms(f"{name}[{index}].tierEnd", "only the last one may be open")
        _require_above(low, end, f"{name}[{index}].tierEnd")
        low = end
    last = ends[-1]
    if last is not None:
        _require_above(low, last, f"{name}[{len(ends) - 1}].tierEnd")
    return tuple(end for end in ends if end is not None)


def closed_by_open_tier(ends: Sequence[Decimal | None], *, name: str) -> tuple[Decimal, ...]:
    """`finite_ends`, and the last one must be open so that every unit has a price."""
    finite = finite_ends(ends, name=name)
    if len(finite) == len(ends):
        field = f"{name}[{len(ends) - 1}].tierEnd"
        raise InvalidTerms(field, "must be open (-1 or null), or units above it have no price")
    return finite


def bands(wire: WireObject, name: str) -> Iterator[tuple[WireObject, Decimal | None]]:
    """Each object of the list with its end; `tierStart` and `sortOrder` may only confirm both."""
    previous: Decimal | None = ZERO
    order: Decimal | None = None
    for band in wire.objects(name):
        start = band.optional_number("tierStart")
        if start is not None and previous is not None and start != previous:
            raise band.refused("tierStart", f"must be {plain(previous)}, where this one begins")
        rank = band.optional_number("sortOrder")
        if rank is not None and order is not None and rank <= order:
            raise band.refused("sortOrder", f"must be above {plain(order)}: the list is the order")
        order = order if rank is None else rank
        end = band.optional_number("tierEnd")
        previous = None if end == OPEN else end
        yield band, previous


def parse_tiers(wire: WireObject) -> tuple[Tier, ...]:
    """The list `tiers` of {tierEnd, unitPrice, flatFee}."""
    tiers = []
    for band, end in bands(wire, "tiers"):
        tiers.append(Tier(end, band.money("unitPrice"), band.optional_money("flatFee") or ZERO))
        band.refuse_unread("a tier")
    return tuple(tiers)


def tiers_on_the_wire(tiers: Sequence[Tier]) -> list[dict[str, str]]:
    """The inverse of `parse_tiers`."""
    return [
        {
            "tierEnd": end_on_the_wire(tier.tier_end),
            "unitPrice": plain(tier.unit_price),
            "flatFee": plain(tier.flat_fee),
        }
        for tier in tiers
    ]


def end_on_the_wire(end: Decimal | None) -> str:
    return plain(OPEN if end is None else end)


def _require_above(low: Decimal, end: Decimal, field: str) -> None:
    if end <= low:
        raise InvalidTerms(field, f"must be above {plain(low)}")
