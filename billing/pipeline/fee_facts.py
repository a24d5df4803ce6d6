"""Fees in advance as facts: what is due, for which period, and what was asked for already."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, divide
from billing.pipeline.shares import Share, share_of


@dataclass(frozen=True, slots=True)
class FeeFact:
    """What is due in advance per full period: a base fee, or a flat rate of a unit."""

    version_id: UUID
    plan_name: str
    subject: str
    amount: Decimal
    unit_id: UUID | None = None
    by_days: bool = False
    tax_code: str = ""
    discount_percent: Decimal = ZERO  # of its plan


@dataclass(frozen=True, slots=True)
class AdvanceFact:
    """The next period [start, end), whose fees in advance are due now, and its share."""

    start: datetime
    end: datetime
    seconds: Decimal
    whole_seconds: Decimal
    fees: tuple[FeeFact, ...]
    days: Decimal = ZERO
    whole_days: Decimal = ZERO

    def share(self, *, by_days: bool = False) -> Share:
        return share_of(
            seconds=(self.seconds, self.whole_seconds),
            days=(self.days, self.whole_days),
            by_days=by_days,
        )

    @property
    def span(self) -> tuple[datetime, datetime]:
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class PaidFact:
    """A fee that an earlier invoice asked for in advance, for this period as it was then.

    `unused` is the share of it that the period did not live to see; `amount` is as asked, exact.
    `taken_off` is what contracts, coupons and fixed discounts took off that; its plan's percentage
    comes on top. `covers` is an earlier period, whose own invoice had no room for all of it:
    `given_back` so far, before discounts.
    """

    fee: FeeFact
    amount: Decimal
    unused: Share
    given_back: Decimal = ZERO
    covers: tuple[datetime, datetime] | None = None
    taken_off: Decimal = ZERO

    def taken_off_of(self, part: Decimal) -> Decimal:
        """What of `taken_off` is of so much of the amount."""
        if not self.taken_off:
            return ZERO
        return divide(EXACT.multiply(self.taken_off, part), self.amount)

    @property
    def asked(self) -> Decimal:
        """What it came to after all discounts."""
        off = EXACT.multiply(self.amount, EXACT.scaleb(self.fee.discount_percent, -2))
        return max(ZERO, EXACT.subtract(EXACT.subtract(self.amount, off), self.taken_off))
