"""What discounts took off one line of an invoice that was made: an exact share of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, divide, minor_units
from billing.pipeline.draft import LineType


@dataclass(frozen=True, slots=True)
class MadeLine:
    """A line as it stands on an invoice. `ahead` is as of Line."""

    stage: str
    type: LineType
    amount: Decimal
    version_id: UUID | None = None
    ahead: bool | None = None

    @property
    def is_charged(self) -> bool:
        """Whether discounts were worked out on it: refunds, taxes and other discounts are not."""
        return self.stage in {"Rate", "Commit"} and self.type is not LineType.PRORATION


def taken_off(
    fee: MadeLine, lines: Sequence[MadeLine], percents: Mapping[UUID, Decimal], *, currency: str
) -> Decimal:
    """What was taken off `fee`, one of `lines` in their order, beside its plan's percentage.

    `percents` are those of plans, by version. A percentage takes the same of all lines that it is
    of, an amount its share of them.
    """
    nets = [(line, _net(line, percents)) for line in lines if line.is_charged]
    all_left = _sum(net for _, net in nets)
    ahead = _sum(net for line, net in nets if line.ahead)
    fixed = {one.version_id: _fixed(one.version_id, lines, percents, currency) for one, _ in nets}
    own = _sum(net for line, net in nets if line.version_id == fee.version_id)
    before = left = _net(fee, percents)
    left = EXACT.subtract(left, _part(fixed[fee.version_id], left, own))
    all_left = EXACT.subtract(all_left, _sum(fixed.values()))
    for line in lines:
        if line.type is not LineType.DISCOUNT or line.version_id is not None:
            continue
        off = EXACT.minus(line.amount)
        circle = {None: all_left, True: ahead, False: EXACT.subtract(all_left, ahead)}[line.ahead]
        if line.ahead in {None, bool(fee.ahead)}:
            left = EXACT.subtract(left, _part(off, left, circle))
        if line.ahead is not False:
            ahead = EXACT.subtract(ahead, _part(off, ahead, circle))
        all_left = EXACT.subtract(all_left, off)
    return EXACT.subtract(before, max(ZERO, left))


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


def _part(off: Decimal, left: Decimal, circle: Decimal) -> Decimal:
    """The share of `left` in what is taken off a circle of lines."""
    if circle <= ZERO or off <= ZERO:
        return ZERO
    return divide(EXACT.multiply(off, left), circle)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
