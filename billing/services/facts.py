"""Facts for the pipeline: everything a chunk's prices depend on, read once under lock."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from aforo.money import ZERO
from billing.pipeline import ContractFact, CouponFact, Facts, LateFact, PaidFact, TaxFact
from billing.selectors.terms import periods_owing_terms
from billing.services.advances import (
    Asked,
    advance_fact,
    asked_in_advance,
    billed_among,
    days_of,
    fees_of,
    next_periods,
    paid_facts,
    without_paid_setup,
)
from billing.services.agreed_facts import contract_facts, coupon_facts
from billing.services.contracts import Contract, contracts_for
from billing.services.heirs import Heirs
from billing.services.late_facts import late_facts
from billing.services.locking import lock_for_billing
from billing.services.rollover_facts import Expiries, Grants, grants_of
from billing.services.unreturned import unreturned_facts
from billing.services.usage_facts import Own, locked_totals, usage_facts
from billing.taxes.facts import tax_facts
from catalog.models import SubscriptionPeriod
from metering.services.watermarks import LockedTotal

NOTHING = Contract()
NO_USAGE: tuple[Own, Sequence[LockedTotal], Heirs] = ({}, (), {})


@dataclass(frozen=True, slots=True)
class Books:
    """What was read for all periods of a chunk at once, each by the period's id."""

    contracts: Mapping[UUID, Contract]
    following: Mapping[UUID, SubscriptionPeriod]
    billed: frozenset[UUID]  # of those that follow
    asked: Asked
    unreturned: Mapping[UUID, Sequence[PaidFact]]  # by subscription
    agreed: Mapping[UUID, ContractFact]
    coupons: Mapping[UUID, tuple[CouponFact, ...]]
    taxes: Mapping[UUID, TaxFact]
    firsts: Mapping[UUID, datetime]  # by subscription
    grants: Grants
    expiries: Expiries

    def contract(self, period: SubscriptionPeriod) -> Contract:
        return self.contracts.get(period.pk, NOTHING)

    def unreturned_before(self, period: SubscriptionPeriod) -> Iterator[PaidFact]:
        for one in self.unreturned.get(period.subscription_id, ()):
            if one.covers is not None and one.covers[0] < period.start_at:
                yield one


def facts_for(
    *,
    tenant_id: UUID,
    periods: Sequence[SubscriptionPeriod],
    auto_finalize: bool,
    now: datetime,
    adjusted: Sequence[SubscriptionPeriod] = (),
    with_usage: bool = True,
) -> dict[UUID, Facts]:
    """The facts of each period by its id, in a number of statements that does not grow with them.

    Late usage of a subscription goes to its first period here. `adjusted` are billed already: all
    that is left to bill with them is late usage. Locks the subscriptions, makes the totals that no
    event has made, locks them all until the caller's transaction ends, and makes estimates exact:
    only then is read what other invoices have asked for, used up or spent. Not `with_usage`, no
    total is looked at, and nothing is locked but subscriptions and coupons. Periods come with
    subscription, offering, customer and billing entity. `now` is on the tenant's clock.
    Raises StageFailed for what cannot be priced.
    """
    everything = [*periods, *adjusted]
    lock_for_billing(tenant_id, {period.subscription_id for period in everything})
    following = next_periods(tenant_id, periods)
    contracts = contracts_for(tenant_id, [*everything, *following.values()])
    own, others, heirs = (
        locked_totals(
            tenant_id, periods, adjusted, contracts=contracts, following=following, now=now
        )
        if with_usage
        else NO_USAGE
    )
    books = _read(tenant_id, periods, adjusted, contracts=contracts, following=following, now=now)
    late = dict(late_facts(tenant_id, others, now=now))
    facts = {}
    for period in periods:
        billed = _facts(period, books, own.get(period.id, ()), auto_finalize, heirs)
        facts[period.id] = replace(billed, late=tuple(late.pop(period.subscription_id, ())))
    owing = periods_owing_terms(tenant_id, now) if adjusted else ()
    for period in adjusted:
        nothing = _facts(period, books, (), auto_finalize, {})
        own_late = tuple(late.pop(period.subscription_id, ()))
        facts[period.id] = _late_alone(nothing, own_late, owes_term=period.pk in owing)
    return facts


def _read(
    tenant_id: UUID,
    periods: Sequence[SubscriptionPeriod],
    adjusted: Sequence[SubscriptionPeriod],
    *,
    contracts: Mapping[UUID, Contract],
    following: Mapping[UUID, SubscriptionPeriod],
    now: datetime,
) -> Books:
    """What a void, or another run, could have changed until the locks were held."""
    everything = [*periods, *adjusted]
    subscription_ids = {period.subscription_id for period in everything}
    with_fees = [one for one in following.values() if fees_of(contracts[one.pk])]
    asked = asked_in_advance(tenant_id, subscription_ids)
    return Books(
        contracts=contracts,
        following=following,
        billed=billed_among(tenant_id, with_fees),
        asked=asked,
        unreturned=unreturned_facts(tenant_id, subscription_ids, asked),
        agreed=contract_facts(tenant_id, everything),
        coupons=coupon_facts(
            tenant_id, everything, now, following=following, adjusted={one.pk for one in adjusted}
        ),
        taxes=tax_facts(tenant_id, everything),
        firsts=_first_starts(tenant_id, subscription_ids),
        grants=grants_of(tenant_id, periods),
        expiries=Expiries(),
    )


def _first_starts(tenant_id: UUID, subscription_ids: set[UUID]) -> Mapping[UUID, datetime]:
    """When the first period of each subscription begins that is paid for."""
    rows = (
        SubscriptionPeriod.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscription_ids, kind=SubscriptionPeriod.Kind.REGULAR)
        .order_by("subscription_id", "start_at")
        .distinct("subscription_id")
    )
    return dict(rows.values_list("subscription_id", "start_at"))


def _facts(
    period: SubscriptionPeriod,
    books: Books,
    totals: Sequence[LockedTotal],
    auto_finalize: bool,
    heirs: Heirs,
) -> Facts:
    contract, following = books.contract(period), books.following.get(period.pk)
    fees = fees_of(contract)
    paid = paid_facts(period, fees, books.asked)
    days, whole_days = days_of(period)
    is_asked = following is None or following.pk in books.billed
    coming = NOTHING if following is None or is_asked else books.contract(following)
    advance = advance_fact(period, following, coming, books.asked)
    own = {plan.version_id for plan in contract.plans}
    return Facts(
        currency=period.subscription.currency,
        period_start=period.start_at,
        period_end=period.end_at,
        seconds=period.seconds,
        whole_seconds=period.whole_seconds,
        billing_mode=period.subscription.offering.billing_mode,
        auto_finalize=auto_finalize,
        plans=without_paid_setup(contract.plans, period, books.asked),
        usage=usage_facts(
            period,
            totals,
            contract=contract,
            paid={(one.fee.version_id, one.fee.unit_id) for one in paid},
            grants=books.grants,
            heirs=heirs,
            following=following,
            expiries=books.expiries,
        ),
        days=days,
        whole_days=whole_days,
        next_start=None if following is None else following.start_at,
        is_first=books.firsts.get(period.subscription_id) == period.start_at,
        fees=fees,
        paid=paid,
        unreturned=tuple(books.unreturned_before(period)),
        advance=advance,
        coming=tuple(plan for plan in coming.plans if plan.version_id not in own)
        if advance is not None
        else (),
        contract=books.agreed.get(period.pk),
        coupons=books.coupons.get(period.pk, ()),
        tax=books.taxes[period.pk],
    )


def _late_alone(facts: Facts, late: tuple[LateFact, ...], *, owes_term: bool) -> Facts:
    """Facts of late usage alone: what is due per period was asked for in each of them.

    Beside it, the minimum of a term that turned out to be over when its last period was billed.
    Percentages hold for it, and the maximum of the term; fixed amounts, and coupons for one
    invoice, do not.
    """
    nothing = replace(
        facts,
        usage=(),
        fees=(),
        paid=(),
        unreturned=(),
        advance=None,
        is_first=False,
        coupons=tuple(coupon for coupon in facts.coupons if coupon.percent and (late or owes_term)),
        contract=_lasting_of(facts.contract, owes_term=owes_term),
        late=late,
    )
    if not late:
        return replace(nothing, plans=())
    return replace(
        nothing,
        plans=tuple(
            replace(
                plan,
                base_fee=ZERO,
                setup_fee=ZERO,
                minimum_spend=ZERO,
                maximum_spend=None,
                discount_amount=ZERO,
            )
            for plan in facts.plans
        ),
        period_start=min(fact.period_start for fact in late),
        period_end=max(fact.period_end for fact in late),
    )


def _lasting_of(contract: ContractFact | None, *, owes_term: bool) -> ContractFact | None:
    """What it says of late usage of any of its periods: its percentage, and the term."""
    if contract is None:
        return None
    return ContractFact(
        contract.contract_id,
        contract.name,
        discount_percent=contract.discount_percent,
        term_minimum=contract.term_minimum if owes_term else ZERO,
        term_maximum=contract.term_maximum,
        term_spent=contract.term_spent,
        ends_term=owes_term,
        term_start=contract.term_start,
    )
