"""Facts for the pipeline: everything a chunk's prices depend on, read once under lock."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT
from billing.pipeline import Facts, StageFailed, UsageFact
from billing.services.contracts import READING, Contract, Price, contracts_for
from catalog.models import SubscriptionPeriod
from metering.services.watermarks import LockedTotal, WantedTotal, ensure_totals, lock_totals


def facts_for(
    *, tenant_id: UUID, periods: Sequence[SubscriptionPeriod], auto_finalize: bool
) -> dict[UUID, Facts]:
    """The facts of each period by its id, in a number of statements that does not grow with them.

    Makes the totals that no event has made and locks them all until the caller's transaction ends.
    `periods` come with subscription and offering. Raises StageFailed for what cannot be priced.
    """
    contracts = contracts_for(tenant_id, periods)
    ensure_totals(
        WantedTotal(period.id, price.version_id, price.unit_id, period.subscription_id, tenant_id)
        for period in periods
        for price in _contract(period, contracts).prices
    )
    totals: defaultdict[UUID, list[LockedTotal]] = defaultdict(list)
    for total in lock_totals([period.id for period in periods]):
        totals[total.period_id].append(total)
    return {
        period.id: _facts(period, _contract(period, contracts), totals[period.id], auto_finalize)
        for period in periods
    }


def _contract(period: SubscriptionPeriod, contracts: Mapping[UUID, Contract]) -> Contract:
    return contracts.get(period.subscription_id) or Contract((), ())


def _facts(
    period: SubscriptionPeriod,
    contract: Contract,
    totals: Sequence[LockedTotal],
    auto_finalize: bool,
) -> Facts:
    prices = {(price.version_id, price.unit_id): price for price in contract.prices}
    return Facts(
        currency=period.subscription.currency,
        period_start=period.start_at,
        period_end=period.end_at,
        seconds=period.seconds,
        whole_seconds=period.whole_seconds,
        billing_mode=period.subscription.offering.billing_mode,
        auto_finalize=auto_finalize,
        plans=contract.plans,
        usage=tuple(_usage(total, prices) for total in totals),
    )


def _usage(total: LockedTotal, prices: Mapping[tuple[UUID, UUID], Price]) -> UsageFact:
    price = prices.get((total.plan_version_id, total.unit_id))
    if price is None:
        reason = f"running total {total.id} counts a unit that no plan of the period prices"
        raise StageFailed(READING, ValueError(reason))
    return UsageFact(
        running_total_id=total.id,
        version_id=total.plan_version_id,
        unit_id=total.unit_id,
        unit_name=price.unit_name,
        unit_label=price.unit_label,
        dimension=total.dimension,
        quantity=total.quantity,
        event_count=total.event_count,
        position=total.position,
        digest=bytes(total.digest),
        revenue=_revenue(total),
        terms=price.terms,
    )


def _revenue(total: LockedTotal) -> Decimal:
    """What the total's events have added to its price, corrected by what no event brought."""
    return EXACT.add(total.revenue, total.adjustments)
