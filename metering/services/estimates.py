"""Settling: what a bill run tells anew of locked totals before it prices them.

PERCENTILE_95 and WEIGHTED_SUM show an estimate until then; and a period that was cut, or that a
contract came to, has events which were priced by other terms than those that hold now.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from aforo.money import EXACT, ZERO, divide
from catalog.pricing import Terms, Usage
from catalog.selectors.prices import PeriodPrice
from metering.aggregation import ESTIMATED
from metering.selectors.archives import periods_with_archives
from metering.selectors.exact_quantities import levels_held, percentiles, weighted
from metering.services.adjusting import Adjustment, adjust
from metering.services.watermarks import LockedTotal

TOLD = "told from all events of the period"
REPRICED = "priced by the terms that hold for the period now"


def settle_estimates(
    totals: Sequence[LockedTotal], *, prices: Mapping[int, PeriodPrice], now: datetime
) -> list[LockedTotal]:
    """Make `totals`, which the caller has locked, exact; all of them, as they stand after.

    `prices` by total id: what `catalog.selectors.prices` gives for the period of each; a total
    without one is left alone. At most six statements, however many totals; none but reads where
    nothing changes. Costs follow quantities. Call it before facts are read and before the
    watermark is stamped: after it `charge(0) + revenue + adjustments = charge(usage)` under
    `total.terms(price.terms)`.
    Raises InvalidTerms for a price that cannot be read.
    """
    told = _told([total for total in totals if total.id in prices])
    settled, adjustments = [], []
    for total in totals:
        price = prices.get(total.id)
        after = replace(total, quantity=told.get(total.id, total.quantity))
        if price is not None and (after != total or price.may_have_moved):
            owed = _owed(after, after.terms(price.terms))
            if owed or after.quantity != total.quantity:
                reason = TOLD if after.quantity != total.quantity else REPRICED
                cost = _cost_of(EXACT.subtract(after.quantity, total.quantity), like=total)
                adjustments.append(adjustment_of(after, owed, reason, cost=cost))
                after = after.adjusted(owed, cost)
        settled.append(after)
    adjust(adjustments, now=now)
    return settled


def adjustment_of(
    total: LockedTotal, amount: Decimal, reason: str, *, cost: Decimal = ZERO
) -> Adjustment:
    """One row that says what is owed more, and where the total stands from now on.

    `cost` is what the change costs.
    """
    return Adjustment(
        tenant_id=total.tenant_id,
        running_total_id=total.id,
        amount=amount,
        reason=reason,
        position=total.position,
        quantity=total.quantity,
        rollover=total.rollover,
        carried=total.carried,
        cost=cost,
    )


def _cost_of(units: Decimal, *, like: LockedTotal) -> Decimal:
    """Units that no event brought cost what those of the total do: on average, under cards."""
    if not units:
        return ZERO
    if not like.quantity or like.cost == EXACT.multiply(like.quantity, like.unit_cost):
        return EXACT.multiply(units, like.unit_cost)
    return divide(EXACT.multiply(units, like.cost), like.quantity)


def _owed(total: LockedTotal, terms: Terms) -> Decimal:
    """What its price is above what its events and adjustments say so far."""
    said = EXACT.add(EXACT.add(terms.charge(Usage(ZERO)), total.revenue), total.adjustments)
    return EXACT.subtract(terms.charge(total.usage), said)


def _told(totals: Sequence[LockedTotal]) -> dict[int, Decimal]:
    """Exact quantities of those that show an estimate, where all of their events are still here."""
    estimated = [one for one in totals if one.aggregation in ESTIMATED and one.period_start]
    if not estimated:
        return {}
    whole = _unarchived(estimated)
    found = percentiles([one.id for one in whole if one.aggregation == "PERCENTILE_95"])
    levels = [one for one in whole if one.aggregation == "WEIGHTED_SUM"]
    held = levels_held([one.id for one in levels])
    return dict(found) | {
        one.id: weighted(held.get(one.id), carried=one.carried or ZERO, span=one.span)
        for one in levels
    }


def _unarchived(totals: Sequence[LockedTotal]) -> Collection[LockedTotal]:
    archived = periods_with_archives()
    if archived is None:
        return totals
    gone = archived.filter(pk__in={total.period_id for total in totals})
    ids = set(gone.values_list("pk", flat=True))
    return [total for total in totals if total.period_id not in ids]
