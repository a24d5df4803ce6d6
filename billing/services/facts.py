"""Facts for the pipeline: everything a chunk's prices depend on, read once under lock."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from billing.pipeline import Facts, LateFact, StageFailed, UsageFact
from billing.services.contracts import READING, Contract, Price, contracts_for
from billing.services.late_facts import late_facts
from billing.taxes.facts import tax_facts
from catalog.models import SubscriptionPeriod
from metering.services.watermarks import (
    LockedTotal,
    WantedTotal,
    ensure_totals,
    late_totals_of,
    lock_totals,
)


def facts_for(
    *,
    tenant_id: UUID,
    periods: Sequence[SubscriptionPeriod],
    auto_finalize: bool,
    adjusted: Sequence[SubscriptionPeriod] = (),
) -> dict[UUID, Facts]:
    """The facts of each period by its id, in a number of statements that does not grow with them.

    Late usage of a subscription goes to its first period here. `adjusted` are billed already: all
    that is left to bill with them is late usage. Makes the totals that no event has made and locks
    them all until the caller's transaction ends. Periods come with subscription and offering.
    Raises StageFailed for what cannot be priced.
    """
    contracts = contracts_for(tenant_id, [*periods, *adjusted])
    ensure_totals(
        WantedTotal(period.id, price.version_id, price.unit_id, period.subscription_id, tenant_id)
        for period in periods
        for price in _contract(period, contracts).prices
    )
    own_ids = {period.id for period in periods}
    subscription_ids = {period.subscription_id for period in (*periods, *adjusted)}
    late_ids = late_totals_of(tenant_id, subscription_ids)
    totals: defaultdict[UUID, list[LockedTotal]] = defaultdict(list)
    for total in lock_totals(own_ids, more_ids=late_ids):
        totals[total.period_id].append(total)
    others = [one for key, found in totals.items() if key not in own_ids for one in found]
    late = dict(late_facts(tenant_id, others))
    taxes = tax_facts(tenant_id, [*periods, *adjusted])
    facts = {}
    for period in periods:
        contract = _contract(period, contracts)
        billed = _facts(period, contract, totals[period.id], auto_finalize)
        facts[period.id] = replace(billed, late=tuple(late.pop(period.subscription_id, ())))
    for period in adjusted:
        contract = _contract(period, contracts)
        nothing = _facts(period, contract, (), auto_finalize)
        facts[period.id] = _late_alone(nothing, tuple(late.pop(period.subscription_id, ())))
    return {period_id: replace(one, tax=taxes[period_id]) for period_id, one in facts.items()}


def _late_alone(facts: Facts, late: tuple[LateFact, ...]) -> Facts:
    """Facts of late usage alone: what plans ask for per period was asked for in each of them."""
    if not late:
        return replace(facts, plans=())
    return replace(
        facts,
        plans=tuple(
            replace(plan, base_fee=ZERO, minimum_spend=ZERO, discount_amount=ZERO)
            for plan in facts.plans
        ),
        late=late,
        period_start=min(fact.period_start for fact in late),
        period_end=max(fact.period_end for fact in late),
    )


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
