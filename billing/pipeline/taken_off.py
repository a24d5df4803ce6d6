"""What discounts took off one line of an invoice that was made: an exact share of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, divide, minor_units
from billing.pipeline.draft import LineType


@dataclass(frozen=True, slots=True)
class MadeLine:
    """A line as it stands on an invoice. `ahead` and `description` are as of Line.

    `late`: of an earlier period, whose fixed discounts were granted then.
    """

    stage: str
    type: LineType
    amount: Decimal
    version_id: UUID | None = None
    ahead: bool | None = None
    description: str = ""
    late: bool = False

    @property
    def spares_late(self) -> bool:
        """Of a discount: whether it is a fixed one of a period, a plan's or a contract's."""
        return not (self.is_percentage or self.description.startswith("coupon "))

    @property
    def is_percentage(self) -> bool:
        """Of a discount: whether it is a percentage, as its description says."""
        return self.description.endswith(" %")

    @property
    def is_charged(self) -> bool:
        """Whether discounts were worked out on it: refunds, taxes and other discounts are not."""
        return self.stage in {"Rate", "Commit"} and self.type is not LineType.PRORATION


def taken_off(
    fee: MadeLine, lines: Sequence[MadeLine], percents: Mapping[UUID, Decimal], *, currency: str
) -> Decimal:
    """What was taken off `fee`, one of `lines` in their order, beside its plan's percentage.

    `percents` are those of plans, by version. A percentage takes the same of all lines that it is
    of, credits for late usage among them; an amount is shared by those that are above zero, without
    late usage unless it is a coupon's. What is above a maximum comes first off the lines that the
    maximum is of, of which no next fee is one.
    """
    charged = [line for line in lines if line.is_charged]
    left = _capped(charged, [_net(line, percents) for line in charged])
    place = charged.index(fee)
    before = left[place]
    for version_id in dict.fromkeys(line.version_id for line in charged):
        off = _fixed(version_id, lines, percents, currency)
        inside = [line.version_id == version_id and not line.late for line in charged]
        left = _without(off, left, inside, is_percentage=False)
    for line in lines:
        if line.type is LineType.DISCOUNT and line.version_id is None:
            inside = [_is_discounted(one, line) for one in charged]
            off = EXACT.minus(line.amount)
            left = _without(off, left, inside, is_percentage=line.is_percentage)
    return EXACT.subtract(before, max(ZERO, left[place]))


def _capped(charged: Sequence[MadeLine], left: Sequence[Decimal]) -> list[Decimal]:
    """What is left of each line once credits above a maximum are taken off the lines they are of.

    Such a credit keeps what these lines have no room for: it gives back what was paid before.
    """
    kept = list(left)
    for number, line in enumerate(charged):
        if line.stage != "Commit" or kept[number] >= ZERO:
            continue
        inside = [_is_capped(one, line) for one in charged]
        own = (amount for amount, is_own in zip(kept, inside, strict=True) if is_own)
        there = _sum(max(ZERO, amount) for amount in own)
        off = min(EXACT.minus(kept[number]), there)
        kept = _without(off, kept, inside, is_percentage=False)
        kept[number] = EXACT.add(kept[number], off)
    return kept


def _is_discounted(line: MadeLine, discount: MadeLine) -> bool:
    """Whether a contract's or a coupon's discount is of a line."""
    if line.late and discount.spares_late:
        return False
    return discount.ahead in {None, bool(line.ahead)}


def _is_capped(line: MadeLine, credit: MadeLine) -> bool:
    """Whether a maximum counts a line: of its period, and of its plan unless it is a contract's.

    That of a term counts late usage, too.
    """
    is_late = line.late and "of the term" not in credit.description
    return not (line.ahead or is_late) and credit.version_id in {None, line.version_id}


def _without(
    off: Decimal, left: Sequence[Decimal], inside: Sequence[bool], *, is_percentage: bool
) -> list[Decimal]:
    """What is left of each line once `off` is taken off those inside, in proportion to them."""
    parts = [
        amount if is_inside and (is_percentage or amount > ZERO) else ZERO
        for amount, is_inside in zip(left, inside, strict=True)
    ]
    whole = _sum(parts)
    if off <= ZERO or whole <= ZERO:
        return list(left)
    taken = (divide(EXACT.multiply(off, part), whole) for part in parts)
    return [EXACT.subtract(amount, part) for amount, part in zip(left, taken, strict=True)]


def _net(line: MadeLine, percents: Mapping[UUID, Decimal]) -> Decimal:
    """What its plan's percentage leaves of it."""
    percent = percents.get(line.version_id, ZERO) if line.version_id else ZERO
    return EXACT.subtract(line.amount, EXACT.multiply(line.amount, EXACT.scaleb(percent, -2)))


def _fixed(
    version_id: UUID | None,
    lines: Sequence[MadeLine],
    percents: Mapping[UUID, Decimal],
    currency: str,
) -> Decimal:
    """What a plan's discounts took off its lines beyond its percentage, but for roundings."""
    if version_id is None:
        return ZERO
    own = [line for line in lines if line.version_id == version_id and line.stage != "Tax"]
    charged = [one for one in own if one.stage in {"Rate", "Commit"}]
    by_percent = _sum(EXACT.subtract(one.amount, _net(one, percents)) for one in charged)
    discounted = _sum(one.amount for one in own if one.stage == "Discount")
    off = EXACT.subtract(EXACT.minus(discounted), by_percent)
    unit = EXACT.scaleb(Decimal(1), -minor_units(currency))
    return off if off > unit else ZERO


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
