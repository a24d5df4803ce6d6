from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from catalog.selectors.discounts import coupons_of
from tests.factories import (
    NOW,
    CouponFactory,
    CouponRedemptionFactory,
    OfferingFactory,
    SubscriptionFactory,
    TenantFactory,
)

pytestmark = pytest.mark.django_db


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def redeemed(subscription, /, *, coupon=None, **fields):
    """For the subscription alone; `subscription=None` for all of its customer's."""
    tenant, customer = subscription.tenant, subscription.customer
    given = {"coupon": coupon or CouponFactory(tenant=tenant), "subscription": subscription}
    return CouponRedemptionFactory(tenant=tenant, customer=customer, **(given | fields))


def codes(subscription, at=NOW, **more):
    found = coupons_of(subscription.tenant_id, [subscription.pk], at, **more)
    return [coupon.code for coupon in found[subscription.pk]]


def test_coupons_come_in_order_of_redemption():
    subscription = SubscriptionFactory()
    later = redeemed(subscription, redeemed_at=NOW)
    earlier = redeemed(subscription, redeemed_at=NOW - timedelta(days=1), subscription=None)
    assert codes(subscription) == [earlier.coupon.code, later.coupon.code]


def test_what_a_coupon_takes_off_is_a_percentage_or_an_amount():
    subscription = SubscriptionFactory()
    fixed = CouponFactory(
        tenant=subscription.tenant,
        discount_type="FIXED_AMOUNT",
        discount_value=Decimal("5.50"),
        currency="USD",
        duration="FOREVER",
    )
    redeemed(subscription)
    redeemed(subscription, coupon=fixed)
    percentage, amount = coupons_of(subscription.tenant_id, [subscription.pk], NOW)[subscription.pk]
    assert (percentage.percent, percentage.amount, percentage.is_once) == (10, 0, True)
    assert (amount.percent, amount.amount, amount.is_once) == (0, Decimal("5.50"), False)


def test_one_that_is_spent_is_left_out_and_one_for_good_is_not():
    subscription = SubscriptionFactory()
    once = redeemed(subscription)
    for_good = redeemed(
        subscription, coupon=CouponFactory(tenant=subscription.tenant, duration="FOREVER")
    )
    assert codes(subscription, used={once.pk, for_good.pk}) == [for_good.coupon.code]


def test_what_is_revoked_or_not_redeemed_yet_is_left_out():
    subscription = SubscriptionFactory()
    redeemed(subscription, revoked_at=NOW)
    redeemed(subscription, redeemed_at=NOW + timedelta(seconds=1))
    assert codes(subscription) == []
    assert len(codes(subscription, NOW - timedelta(seconds=1))) == 0
    assert len(codes(subscription, NOW + timedelta(seconds=1))) == 1


def test_a_customers_coupon_holds_for_subscriptions_in_its_currency_to_its_offerings():
    subscription = SubscriptionFactory()
    tenant, customer = subscription.tenant, subscription.customer
    other = SubscriptionFactory(tenant=tenant, customer=customer)
    coupon = CouponFactory(tenant=tenant)
    coupon.offerings.add(subscription.offering)
    redeemed(subscription, coupon=coupon, subscription=None)
    euros = CouponFactory(tenant=tenant, discount_type="FIXED_AMOUNT", currency="EUR")
    redeemed(subscription, coupon=euros, subscription=None)
    assert codes(subscription) == [coupon.code]
    assert codes(other) == []


def test_a_subscriptions_coupon_stays_when_it_moves_to_another_offering():
    subscription = SubscriptionFactory()
    coupon = CouponFactory(tenant=subscription.tenant)
    coupon.offerings.add(OfferingFactory(tenant=subscription.tenant))
    redeemed(subscription, coupon=coupon)
    assert codes(subscription) == [coupon.code]
    assert codes(SubscriptionFactory(tenant=subscription.tenant)) == []


def test_days_of_trial_are_no_discount():
    subscription = SubscriptionFactory()
    redeemed(
        subscription, coupon=CouponFactory(tenant=subscription.tenant, discount_type="TRIAL_DAYS")
    )
    assert codes(subscription) == []


def test_the_number_of_statements_is_a_constant(django_assert_num_queries):
    tenant = TenantFactory()
    subscriptions = [SubscriptionFactory(tenant=tenant) for _ in range(5)]
    for subscription in subscriptions:
        redeemed(subscription)
    for count in (1, 5):
        ids = [subscription.pk for subscription in subscriptions[:count]]
        with django_assert_num_queries(3):
            assert all(coupons_of(tenant.pk, ids, NOW).values())


MONTHS = [utc(2026, month, 1) for month in range(2, 9)]


@pytest.mark.parametrize(
    ("redeemed_at", "ends_at", "discounted"),
    [
        (utc(2026, 3, 15), utc(2026, 6, 15), [3, 4, 5]),
        (utc(2026, 3, 1), utc(2026, 6, 1), [3, 4, 5]),
        (utc(2026, 3, 15), utc(2026, 4, 15), [3]),
        (utc(2026, 6, 15), None, [6, 7]),
    ],
)
def test_so_many_months_are_so_many_monthly_invoices(redeemed_at, ends_at, discounted):
    subscription = SubscriptionFactory()
    redeemed(subscription, redeemed_at=redeemed_at, ends_at=ends_at)
    at = utc(2027, 1, 1)
    (coupon,) = coupons_of(subscription.tenant_id, [subscription.pk], at)[subscription.pk]
    held = [start.month for start, end in pairwise(MONTHS) if coupon.holds_for(start, end)]
    assert held == discounted


def test_months_that_end_within_a_year_discount_the_year_they_began_in():
    subscription = SubscriptionFactory()
    redeemed(subscription, redeemed_at=utc(2026, 3, 15), ends_at=utc(2026, 6, 15))
    found = coupons_of(subscription.tenant_id, [subscription.pk], utc(2027, 1, 1))
    (coupon,) = found[subscription.pk]
    assert coupon.holds_for(utc(2026, 1, 1), utc(2027, 1, 1))
    assert not coupon.holds_for(utc(2027, 1, 1), utc(2028, 1, 1))
