"""Fees in advance as facts: what is due, for which period, and what was asked for already."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
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
    `covers` is an earlier period, whose own invoice had no room for all of it: `given_back` so far.
    """

    fee: FeeFact
    amount: Decimal
    unused: Share
    given_back: Decimal = ZERO
    covers: tuple[datetime, datetime] | None = None
