"""Where running totals will stand at the end of their periods, if usage goes on as it did."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aforo.money import EXACT, divide
from catalog.pricing import Terms
from catalog.selectors.prices import with_rollover

HUNDRED = Decimal(100)
YOUNGEST = timedelta(hours=1)  # what a period is taken for before it is an hour old
_MICROSECOND = timedelta(microseconds=1)
# In the order of `Total`, from running_totals m, subscription_periods p, billable_units u and
# subscriptions s.
COLUMNS = """
    m.id, m.period_id, m.plan_version_id, m.unit_id, m.subscription_id, m.dimension, m.quantity,
    m.rollover, m.event_count, p.start_at, p.end_at,
    u.aggregation IN ('COUNT', 'SUM', 'UNIQUE') AND NOT u.recurring, s.currency, m.revenue
"""


class Total(NamedTuple):
    """One running total of an open period; `grows` where usage of a day adds to that before."""

    id: int
    period_id: UUID
    version_id: UUID
    unit_id: UUID
    subscription_id: UUID
    dimension: str
    quantity: Decimal
    rollover: Decimal
    event_count: int
    start_at: datetime
    end_at: datetime
    grows: bool
    currency: str
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class Pace:
    """Where a total will stand at the end of its period, in priced units."""

    total: Total
    terms: Terms
    used: Decimal
    projected: Decimal

    @property
    def allowance(self) -> Decimal:
        return self.terms.included_free

    @property
    def percent(self) -> Decimal:
        return divide(EXACT.multiply(self.projected, HUNDRED), self.allowance)


def pace_of(total: Total, terms: Terms, now: datetime) -> Pace:
    """The straight line from the beginning of the period through now to its end."""
    terms = with_rollover(terms, total.rollover)
    used = terms.measured(total.quantity)
    if not total.grows:
        return Pace(total, terms, used, used)
    whole = (total.end_at - total.start_at) // _MICROSECOND
    passed = max(now - total.start_at, YOUNGEST) // _MICROSECOND
    projected = divide(EXACT.multiply(total.quantity, Decimal(whole)), Decimal(passed))
    return Pace(total, terms, used, terms.measured(projected))
