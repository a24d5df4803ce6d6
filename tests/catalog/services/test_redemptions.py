from datetime import UTC, datetime, timedelta

import pytest

from aforo.errors import Conflict, NotFound, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.models import Coupon, CouponRedemption
from catalog.services.redemptions import redeem_coupon, revoke_redemption
from tests.factories import (
    NOW,
    CouponFactory,
    CustomerFactory,
    OfferingFactory,
    SubscriptionFactory,
    TenantFactory,
)
from tests.threads import in_threads

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(tenant):
    return SubscriptionFactory(tenant=tenant)


def coupon_for(subscription, **fields):
    return CouponFactory(tenant=subscription.tenant, **fields)


def redeem(coupon, subscription, *, now=NOW, of_all=False, customer=None):
    return redeem_coupon(
        tenant=coupon.tenant,
        code=coupon.code,
        customer=customer or subscription.customer,
        subscription=None if of_all else subscription,
        actor=Actor.system(),
        now=now,
    )


def test_a_coupon_is_redeemed_for_a_subscription(subscription):
    coupon = coupon_for(subscription)
    version = subscription.tenant.catalog_version
    redemption = redeem(coupon, subscription)
    assert (redemption.customer, redemption.subscription) == (subscription.customer, subscription)
    assert (redemption.redeemed_at, redemption.ends_at) == (NOW, None)
    entry = AuditEntry.objects.for_tenant(coupon.tenant).get()
    assert entry.action == "COUPON_REDEEMED"
    assert entry.changes["coupon"] == {"before": None, "after": coupon.code}
    subscription.tenant.refresh_from_db()
    assert subscription.tenant.catalog_version == version


def test_so_many_months_are_counted_where_the_subscription_is_billed(tenant):
    subscription = SubscriptionFactory(tenant=tenant, time_zone="America/New_York")
    coupon = coupon_for(subscription, duration="REPEATING", duration_in_months=3)
    redemption = redeem(coupon, subscription, now=datetime(2026, 10, 1, 4, tzinfo=UTC))
    assert redemption.ends_at == datetime(2027, 1, 1, 5, tzinfo=UTC)


def test_the_same_coupon_twice_is_a_conflict(subscription):
    coupon = coupon_for(subscription, max_redemptions_per_customer=5)
    redeem(coupon, subscription)
    with pytest.raises(Conflict) as error:
        redeem(coupon, subscription)
    assert error.value.code == "COUPON_REDEEMED"
    assert coupon.redemptions.count() == 1


def test_a_customer_redeems_as_often_as_the_coupon_lets_them(subscription):
    others = [
        SubscriptionFactory(tenant=subscription.tenant, customer=subscription.customer)
        for _ in range(2)
    ]
    coupon = coupon_for(subscription, max_redemptions_per_customer=2)
    redeem(coupon, subscription)
    redeem(coupon, others[0])
    with pytest.raises(Conflict, match="2 times"):
        redeem(coupon, others[1])


def test_a_coupon_is_given_out_as_often_as_it_may_be(subscription):
    coupon = coupon_for(subscription, max_redemptions=1)
    redemption = redeem(coupon, subscription)
    other = SubscriptionFactory(tenant=subscription.tenant)
    with pytest.raises(Conflict) as error:
        redeem(coupon, other)
    assert error.value.code == "COUPON_SPENT"
    revoke_redemption(redemption=redemption, actor=Actor.system(), now=NOW)
    redeem(coupon, other)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"archived_at": NOW}, "COUPON_ARCHIVED"),
        ({"valid_from": NOW + timedelta(seconds=1)}, "COUPON_NOT_YET_VALID"),
        ({"valid_until": NOW}, "COUPON_EXPIRED"),
        ({"discount_type": "FIXED_AMOUNT", "currency": "EUR"}, "COUPON_NOT_APPLICABLE"),
    ],
)
def test_a_coupon_that_will_not_do_is_refused_by_name(subscription, fields, code):
    coupon = coupon_for(subscription, **fields)
    with pytest.raises(Refused) as error:
        redeem(coupon, subscription)
    assert error.value.errors[0].code == code
    assert coupon.redemptions.count() == 0


def test_a_coupon_for_one_customer_or_one_offering_is_not_for_another(subscription):
    personal = coupon_for(subscription, customer=CustomerFactory(tenant=subscription.tenant))
    packaged = coupon_for(subscription)
    packaged.offerings.add(OfferingFactory(tenant=subscription.tenant))
    for coupon in (personal, packaged):
        with pytest.raises(Refused) as error:
            redeem(coupon, subscription)
        assert error.value.errors[0].code == "COUPON_NOT_APPLICABLE"
    packaged.offerings.add(subscription.offering)
    redeem(packaged, subscription)


def test_a_coupon_of_once_goes_to_the_only_subscription_that_runs(subscription):
    SubscriptionFactory(
        tenant=subscription.tenant, customer=subscription.customer, state="CANCELLED"
    )
    coupon = coupon_for(subscription)
    assert redeem(coupon, subscription, of_all=True).subscription == subscription
    SubscriptionFactory(tenant=subscription.tenant, customer=subscription.customer)
    with pytest.raises(Refused, match="several subscriptions"):
        redeem(coupon_for(subscription), subscription, of_all=True)
    idle = CustomerFactory(tenant=subscription.tenant)
    with pytest.raises(Refused, match="no subscription"):
        redeem(coupon_for(subscription), subscription, of_all=True, customer=idle)


def test_a_coupon_that_lasts_is_for_all_of_a_customers(subscription):
    coupon = coupon_for(subscription, duration=Coupon.Duration.FOREVER)
    assert redeem(coupon, subscription, of_all=True).subscription is None


def test_nothing_is_redeemed_for_a_subscription_that_is_over_or_anothers(tenant, subscription):
    over = SubscriptionFactory(tenant=tenant, state="EXPIRED")
    with pytest.raises(Refused, match="EXPIRED"):
        redeem(coupon_for(over), over)
    with pytest.raises(Refused, match="another customer"):
        redeem(coupon_for(over), subscription, customer=over.customer)


def test_a_code_of_another_tenant_is_absent(subscription):
    theirs = CouponFactory()
    with pytest.raises(NotFound):
        redeem_coupon(
            tenant=subscription.tenant,
            code=theirs.code,
            customer=subscription.customer,
            actor=Actor.system(),
            now=NOW,
        )


def test_revoking_twice_is_revoking_once(subscription):
    redemption = redeem(coupon_for(subscription), subscription)
    for day in range(2):
        now = NOW + timedelta(days=day)
        revoke_redemption(redemption=redemption, actor=Actor.system(), now=now, reason="mistake")
    redemption.refresh_from_db()
    assert redemption.revoked_at == NOW
    actions = AuditEntry.objects.for_tenant(redemption.tenant).values_list("action", flat=True)
    assert sorted(actions) == ["COUPON_REDEEMED", "COUPON_REVOKED"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("whose", ["one customer", "eight customers"])
def test_of_eight_who_redeem_at_once_the_limit_is_kept(whose):
    tenant = TenantFactory()
    one = CustomerFactory(tenant=tenant)
    subscriptions = [
        SubscriptionFactory(
            tenant=tenant,
            customer=one if whose == "one customer" else CustomerFactory(tenant=tenant),
        )
        for _ in range(8)
    ]
    limits = {"max_redemptions_per_customer": 3} if whose == "one customer" else {}
    coupon = CouponFactory(tenant=tenant, **(limits or {"max_redemptions": 3}))

    def try_to(index):
        try:
            redeem(coupon, subscriptions[index])
        except Conflict:
            return False
        return True

    assert sum(in_threads(8, try_to)) == 3
    assert CouponRedemption.objects.for_tenant(tenant).count() == 3
