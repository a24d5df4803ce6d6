"""The arithmetic of margins: exact, without a clock, a database or a currency table."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from enum import StrEnum

from aforo.money import EXACT, ZERO, divide, plain

HUNDRED = Decimal(100)
_CENT = Decimal("0.01")


class Level(StrEnum):
    """How far a margin has fallen, as gateways spell it; `rank` orders them."""

    NONE = "NONE"
    L1_ALERT = "L1_ALERT"
    L2_THROTTLE = "L2_THROTTLE"
    L3_BLOCK = "L3_BLOCK"

    @property
    def rank(self) -> int:
        return tuple(Level).index(self)


class Reason(StrEnum):
    """Why a guard says what it says."""

    OK = "OK"
    BELOW_FLOOR = "BELOW_FLOOR"
    LOW_MARGIN = "LOW_MARGIN"
    NO_REVENUE = "NO_REVENUE"
    RELEASED = "RELEASED"


@dataclass(frozen=True, slots=True)
class Margin:
    """What somebody brings in and what serving them costs, in one currency."""

    revenue: Decimal = ZERO
    cost: Decimal = ZERO

    def __add__(self, other: "Margin") -> "Margin":
        return Margin(EXACT.add(self.revenue, other.revenue), EXACT.add(self.cost, other.cost))

    @property
    def has_revenue(self) -> bool:
        """Credits may outweigh what was charged: then there is none, either."""
        return self.revenue > ZERO

    @property
    def profit(self) -> Decimal:
        return EXACT.subtract(self.revenue, self.cost)

    @property
    def percent(self) -> Decimal | None:
        """(revenue - cost) / revenue x 100, to 12 decimals; None without revenue."""
        if not self.has_revenue:
            return None
        return divide(EXACT.multiply(self.profit, HUNDRED), self.revenue)

    @property
    def shown(self) -> str:
        """The percentage for people: towards less, so that 19.999 is not shown as 20."""
        percent = self.percent
        if percent is None:
            return "no revenue"
        with localcontext(prec=100):
            return f"{plain(percent.quantize(_CENT, ROUND_FLOOR))} %"

    def is_below(self, percent: Decimal) -> bool:
        """Whether the margin is less than `percent`, without dividing; no revenue is below all."""
        if not self.has_revenue:
            return True
        return EXACT.multiply(self.profit, HUNDRED) < EXACT.multiply(percent, self.revenue)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What thresholds say of a margin, and why."""

    level: Level
    reason: Reason


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Percentages below which somebody is warned of, throttled and blocked.

    Nobody is judged before having cost more than `cost_floor`.
    """

    warn_below: Decimal = Decimal(20)
    throttle_below: Decimal = Decimal(10)
    block_below: Decimal = ZERO
    cost_floor: Decimal = Decimal(1)

    def of(self, level: "Level") -> Decimal | None:
        """The percentage below which a level begins; None for the one without any."""
        return {
            Level.L1_ALERT: self.warn_below,
            Level.L2_THROTTLE: self.throttle_below,
            Level.L3_BLOCK: self.block_below,
        }.get(level)

    def lifted_to(self, floor: Decimal | None) -> "Thresholds":
        """The same distances with `floor` as the one that blocks; None leaves them."""
        if floor is None:
            return self
        shift = EXACT.subtract(floor, self.block_below)
        return Thresholds(
            EXACT.add(self.warn_below, shift),
            EXACT.add(self.throttle_below, shift),
            floor,
            self.cost_floor,
        )

    def judge(self, margin: Margin) -> Verdict:
        """The deepest level that the margin has fallen to."""
        if margin.cost <= self.cost_floor:
            return Verdict(Level.NONE, Reason.BELOW_FLOOR)
        reason = Reason.LOW_MARGIN if margin.has_revenue else Reason.NO_REVENUE
        for level, percent in (
            (Level.L3_BLOCK, self.block_below),
            (Level.L2_THROTTLE, self.throttle_below),
            (Level.L1_ALERT, self.warn_below),
        ):
            if margin.is_below(percent):
                return Verdict(level, reason)
        return Verdict(Level.NONE, Reason.OK)


def earned(*, fees: Decimal, usage: Decimal, minimum: Decimal) -> Decimal:
    """Revenue of a period: fees and usage, and no less than what was promised."""
    return max(EXACT.add(fees, usage), minimum)


def split(amount: Decimal, count: int) -> list[Decimal]:
    """`amount` in `count` parts that are equal to 12 decimals and sum up to it exactly."""
    part = divide(amount, Decimal(count))
    rest = EXACT.subtract(amount, EXACT.multiply(part, Decimal(count - 1)))
    return [*([part] * (count - 1)), rest]
