"""Redeemed coupons: what they take off which subscription's invoices, in order of redemption."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet

from aforo.money import ZERO
from catalog.models import Coupon, CouponRedemption, Subscription


@dataclass(frozen=True, slots=True)
class RedeemedCoupon:
    """A percentage, or an amount of the subscription's currency, off each invoice it holds for.

    One that `is_once` is spent by the first invoice it takes anything off: of several periods in
    hand at once, by the earliest.
    """

    redemption_id: UUID
    code: str
    percent: Decimal
    amount: Decimal
    currency: str
    duration: str
    redeemed_at: datetime
    ends_at: datetime | None

    @property
    def is_once(self) -> bool:
        return self.duration == Coupon.Duration.ONCE

    def holds_for(self, start: datetime, end: datetime) -> bool:
        """Whether it discounts the period [start, end).

        That is the period it was redeemed in, and each later one that is over when it ends: three
        months are three monthly invoices, on whatever day it was redeemed.
        """
        if end <= self.redeemed_at:
            return False
        return self.ends_at is None or end <= self.ends_at or start <= self.redeemed_at


def coupons_of(
    tenant_id: UUID,
    subscription_ids: Collection[UUID],
    at: datetime,
    *,
    used: AbstractSet[UUID] = frozenset(),
) -> Mapping[UUID, Sequence[RedeemedCoupon]]:
    """The coupons that hold at `at` for each subscription, in order of redemption.

    `used` are the redemptions that an invoice has taken off already: those of ONCE are left out.
    So are coupons revoked by `at`, amounts of another currency, days of trial, and a customer's
    coupon where the subscription's offering is none of its own. Three statements at most.
    """
    subscriptions = {
        row[0]: row[1:]
        for row in Subscription.objects.for_tenant(tenant_id)
        .filter(pk__in=subscription_ids)
        .values_list("pk", "customer_id", "offering_id", "currency")
    }
    customers = {customer_id for customer_id, _, _ in subscriptions.values()}
    found: defaultdict[UUID, list[CouponRedemption]] = defaultdict(list)
    for row in _redemptions(tenant_id, customers, at):
        if row.coupon.duration != Coupon.Duration.ONCE or row.pk not in used:
            found[row.customer_id].append(row)
    return {
        subscription_id: [
            _redeemed(row)
            for row in found[customer_id]
            if _is_for(row, subscription_id, offering_id, currency)
        ]
        for subscription_id, (customer_id, offering_id, currency) in subscriptions.items()
    }


def _redemptions(
    tenant_id: UUID, customer_ids: Collection[UUID], at: datetime
) -> QuerySet[CouponRedemption]:
    rows: QuerySet[CouponRedemption] = CouponRedemption.objects.for_tenant(tenant_id).filter(
        Q(revoked_at=None) | Q(revoked_at__gt=at), customer__in=customer_ids, redeemed_at__lte=at
    )
    return (
        rows.exclude(coupon__discount_type=Coupon.DiscountType.TRIAL_DAYS)
        .select_related("coupon")
        .prefetch_related("coupon__offerings")
        .order_by("redeemed_at", "id")
    )


def _is_for(row: CouponRedemption, subscription_id: UUID, offering_id: UUID, currency: str) -> bool:
    coupon = row.coupon
    if coupon.discount_type == Coupon.DiscountType.FIXED_AMOUNT and coupon.currency != currency:
        return False
    if row.subscription_id is not None:  # its offering was looked at when it was redeemed
        return row.subscription_id == subscription_id
    offerings = {offering.pk for offering in coupon.offerings.all()}
    return not offerings or offering_id in offerings


def _redeemed(row: CouponRedemption) -> RedeemedCoupon:
    coupon = row.coupon
    is_percentage = coupon.discount_type == Coupon.DiscountType.PERCENTAGE
    return RedeemedCoupon(
        redemption_id=row.pk,
        code=coupon.code,
        percent=coupon.discount_value if is_percentage else ZERO,
        amount=ZERO if is_percentage else coupon.discount_value,
        currency=coupon.currency,
        duration=coupon.duration,
        redeemed_at=row.redeemed_at,
        ends_at=row.ends_at,
    )
