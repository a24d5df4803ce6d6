"""What is taxed: each line's amount after the discounts and credits that are of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, minor_units
from billing.pipeline.draft import Line, LineType

_SPREAD = frozenset({LineType.DISCOUNT, LineType.CREDIT})


@dataclass(frozen=True, slots=True)
class Part:
    """A line as far as tax is concerned, known by its number on the invoice, from 1.

    One that `takes_back` is a credit for what an earlier invoice asked for, and taxed, by its code.
    One that `gives_back` is a charge for a discount, or a credit, of what is given back elsewhere:
    nothing is taken off it.
    """

    number: int
    type: LineType
    amount: Decimal  # rounded to the minor unit
    tax_code: str
    version_id: UUID | None
    of_line: int | None = None
    takes_back: bool = False
    gives_back: bool = False
    ahead: bool | None = None  # see Line

    @classmethod
    def of(cls, number: int, line: Line) -> "Part":
        amount = line.amount.amount
        return cls(
            number,
            line.type,
            amount,
            line.tax_code,
            line.version_id,
            line.of_line,
            takes_back(line.stage, line.type),
            gives_back(line.stage, line.type),
            line.ahead,
        )


def takes_back(stage: str, line_type: str) -> bool:
    """Whether a line takes off what an earlier invoice of the same period asked for."""
    return stage == "Discount" and line_type == LineType.CREDIT


def gives_back(stage: str, line_type: str) -> bool:
    """Whether a line asks again for what was taken off a fee, or given back of it early."""
    return stage == "Discount" and line_type == LineType.CHARGE


def taxable_bases(parts: Sequence[Part], currency: str) -> Mapping[Part, Decimal]:
    """What each line is taxed on, without those that come to nothing; all add up to the parts.

    A discount or a credit is taken off the line that it is of; one of a plan off the plan's lines,
    what takes back usage off usage of its tax code, any other off all, in proportion to what is
    left of them. What they have no room for goes to the other lines, and what even those have not
    is taxed for itself, below zero. Shares are whole minor units that add up: those left over go to
    the largest fractions. The order of what is taken off matters, that of the lines does not.
    """
    scale = minor_units(currency)
    left = {
        part: _minor(part.amount, scale)
        for part in parts
        if part.type not in _SPREAD or part.amount > ZERO
    }
    for part in parts:
        if part not in left:
            left[part] = -_taken(-_minor(part.amount, scale), _circles(part), left)
    return {part: EXACT.scaleb(Decimal(units), -scale) for part, units in left.items() if units}


def _circles(part: Part) -> Iterable[Callable[[Part], bool]]:
    """The lines that `part` is taken off: the nearest first."""
    if part.of_line is not None:
        yield lambda other: other.number == part.of_line
    if part.version_id is not None:
        yield lambda other: other.version_id == part.version_id
    if part.takes_back:
        own = part.tax_code
        yield lambda other: other.tax_code == own and other.type == LineType.USAGE_FEE
        yield lambda other: other.tax_code == own
    if part.ahead is not None:
        yield lambda other: bool(other.ahead) == part.ahead
    yield lambda _: True


def _taken(wanted: int, circles: Iterable[Callable[[Part], bool]], left: dict[Part, int]) -> int:
    """Take `wanted` minor units off circle after circle; what none of them has room for."""
    charged = [part for part in left if not part.gives_back]
    for is_inside in circles:
        room = {part: left[part] for part in charged if left[part] > 0 and is_inside(part)}
        granted = min(wanted, sum(room.values()))
        for part, share in _shares(granted, room).items():
            left[part] -= share
        wanted -= granted
    return wanted


def _shares(total: int, room: Mapping[Part, int]) -> Mapping[Part, int]:
    """`total` in proportion to `room`, in whole units: what is left over by largest fraction."""
    if not total:
        return {}
    whole = sum(room.values())
    cut = {part: divmod(total * units, whole) for part, units in room.items()}
    missing = total - sum(share for share, _ in cut.values())
    eager = sorted(cut, key=lambda part: (-cut[part][1], -room[part], *_content(part)))
    lucky = frozenset(eager[:missing])
    return {part: share + (part in lucky) for part, (share, _) in cut.items()}


def _content(part: Part) -> tuple[str, str, str]:
    """An order of what would otherwise be told apart by place alone."""
    return part.tax_code, str(part.version_id), part.type


def _minor(amount: Decimal, scale: int) -> int:
    return int(EXACT.scaleb(amount, scale))
