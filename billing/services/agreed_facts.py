"""What customers' contracts and coupons say of each period of a chunk, as facts."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, Sum

from aforo.money import EXACT, ZERO
from billing.models import CouponUse, Invoice
from billing.pipeline import ContractFact, CouponFact
from billing.selectors.terms import SINCE, lines_spent
from catalog.models import Coupon, SubscriptionPeriod
from catalog.selectors.agreements import Agreement, agreements_of
from catalog.selectors.discounts import RedeemedCoupon, coupons_of


def contract_facts(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod]
) -> Mapping[UUID, ContractFact]:
    """By period, the phase that is pinned to it; periods without one are absent.

    A contract for all subscriptions of a customer gives its terms to each of them: what was spent
    in the term is of one subscription. Three statements at most.
    """
    pinned = {
        period.pk: period.contract_phase_id
        for period in periods
        if period.contract_phase_id is not None
    }
    agreements = agreements_of(set(pinned.values()))
    agreed = {period_id: agreements[phase_id] for period_id, phase_id in pinned.items()}
    bound = [period for period in periods if period.pk in agreed and _has_term(agreed[period.pk])]
    spent = _spent(tenant_id, bound, agreed)
    return {
        period.pk: _contract(period, agreed[period.pk], spent.get(period.pk, ZERO))
        for period in periods
        if period.pk in agreed
    }


def _has_term(agreement: Agreement) -> bool:
    return bool(agreement.term_minimum) or agreement.term_maximum is not None


def _contract(period: SubscriptionPeriod, said: Agreement, spent: Decimal) -> ContractFact:
    stops = period.subscription.end_at
    is_last = period.end_at >= said.term_end or (stops is not None and period.end_at >= stops)
    return ContractFact(
        contract_id=said.contract_id,
        name=said.name,
        minimum_spend=said.minimum_spend,
        maximum_spend=said.maximum_spend,
        discount_percent=said.discount_percent,
        discount_amount=said.discount_amount,
        term_minimum=said.term_minimum,
        term_maximum=said.term_maximum,
        term_spent=spent,
        ends_term=is_last,
        term_start=said.term_start,
    )


def _spent(
    tenant_id: UUID, periods: Sequence[SubscriptionPeriod], agreed: Mapping[UUID, Agreement]
) -> Mapping[UUID, Decimal]:
    """What standing invoices ask for in the term, by period: usage and fees of earlier periods."""
    if not periods:
        return {}
    rows = (
        lines_spent(tenant_id)
        .annotate(since=SINCE)
        .filter(invoice__subscription_id__in={period.subscription_id for period in periods})
        .values_list("invoice__subscription_id", "since")
        .annotate(asked=Sum("amount"))
        .order_by()
    )
    by_subscription: defaultdict[UUID, list[tuple[datetime, Decimal]]] = defaultdict(list)
    for subscription_id, since, asked in rows:
        by_subscription[subscription_id].append((since, asked))
    return {
        period.pk: sum(
            (
                asked
                for since, asked in by_subscription[period.subscription_id]
                if agreed[period.pk].term_start <= since <= period.start_at
            ),
            ZERO,
        )
        for period in periods
    }


def coupon_facts(
    tenant_id: UUID,
    periods: Sequence[SubscriptionPeriod],
    at: datetime,
    *,
    following: Mapping[UUID, SubscriptionPeriod],
    adjusted: Collection[UUID] = (),
) -> Mapping[UUID, tuple[CouponFact, ...]]:
    """By period, the coupons that hold for it, in order of redemption; five statements at most.

    A coupon for one invoice goes to the earliest period that may have it, and to none that is only
    `adjusted`. An amount is granted once per period: what the opening invoice of the period took
    off is left out. A percentage over several periods is of their own fees in advance, whichever
    invoice asks for them.
    """
    subscriptions = {period.subscription_id for period in periods}
    granted = _granted(tenant_id, periods)
    used = frozenset(redemption_id for redemption_id, _ in granted)
    coupons = coupons_of(tenant_id, subscriptions, at, used=used)
    spent: set[UUID] = set()
    found: dict[UUID, tuple[CouponFact, ...]] = {}
    for period in sorted(periods, key=lambda one: (one.start_at, one.pk)):
        held = [
            (coupon, spans)
            for coupon in coupons.get(period.subscription_id, ())
            if any(spans := _holds(coupon, period, following.get(period.pk)))
            and not (coupon.is_once and period.pk in adjusted)
            and coupon.redemption_id not in spent
        ]
        spent |= {coupon.redemption_id for coupon, _ in held if coupon.is_once}
        found[period.pk] = tuple(
            fact
            for coupon, spans in held
            for fact in (
                _coupon(coupon, granted.get((coupon.redemption_id, period.pk), ZERO), spans),
            )
            if fact.percent or fact.amount
        )
    return found


def _holds(
    coupon: RedeemedCoupon, period: SubscriptionPeriod, following: SubscriptionPeriod | None
) -> tuple[bool, bool]:
    """Whether it discounts the period, and the fees of the next one on the same invoice.

    A coupon for one invoice, and an amount, is of the invoice as it is.
    """
    own = coupon.holds_for(period.start_at, period.end_at)
    if coupon.is_once or not coupon.percent or following is None:
        return own, own
    return own, coupon.holds_for(following.start_at, following.end_at)


def _coupon(coupon: RedeemedCoupon, granted: Decimal, spans: tuple[bool, bool]) -> CouponFact:
    amount = max(ZERO, EXACT.subtract(coupon.amount, granted)) if coupon.amount else ZERO
    return CouponFact(coupon.redemption_id, coupon.code, coupon.percent, amount, *spans)


def _granted(
    tenant_id: UUID, periods: Collection[SubscriptionPeriod]
) -> Mapping[tuple[UUID, UUID], Decimal]:
    """What standing invoices took off, by redemption and period.

    Of coupons for one invoice by any invoice, of others by the opening invoices of `periods`.
    """
    opened = Q(invoice__kind=Invoice.Kind.OPENING, invoice__period__in=periods)
    rows = (
        CouponUse.objects.for_tenant(tenant_id)
        .filter(
            Q(redemption__coupon__duration=Coupon.Duration.ONCE) | opened,
            redemption__customer_id__in={period.subscription.customer_id for period in periods},
        )
        .exclude(invoice__status=Invoice.Status.VOID)
        .values_list("redemption_id", "invoice__period_id")
        .annotate(granted=Sum("amount"))
        .order_by()
    )
    return {(redemption_id, period_id): granted for redemption_id, period_id, granted in rows}
