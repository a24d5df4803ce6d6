"""More days of trial move what is paid for, and nothing that was used."""

from datetime import UTC, datetime, timedelta

import pytest

from aforo.errors import Conflict
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.services.redemptions import redeem_coupon, revoke_redemption
from catalog.services.trial_extensions import extend_trial
from tests.factories import NOW, BillingEntityFactory, CouponFactory

pytestmark = pytest.mark.django_db


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def stored(subscription):
    return [(row.kind, row.start_at, row.end_at) for row in subscription.periods.all()[:3]]


def extend(subscription, *, now=NOW):
    return extend_trial(subscription=subscription, days=10, actor=Actor.system(), now=now)


def test_a_longer_trial_is_followed_by_what_is_paid_for(sold, sell):
    subscription = extend(sold(sell(trial_days=30)))
    assert (subscription.trial_end_at, subscription.anchor_day) == (utc(2026, 4, 10), 10)
    assert stored(subscription) == [
        ("TRIAL", utc(2026, 3, 1), utc(2026, 4, 10)),
        ("REGULAR", utc(2026, 4, 10), utc(2026, 5, 10)),
        ("REGULAR", utc(2026, 5, 10), utc(2026, 6, 10)),
    ]
    entry = AuditEntry.objects.for_tenant(subscription.tenant).first()
    assert entry.action == "SUBSCRIPTION_TRIAL_EXTENDED"


def test_days_are_those_of_the_calendar_where_it_is_billed(sold, sell, tenant):
    BillingEntityFactory(tenant=tenant, time_zone="Europe/Berlin")
    subscription = sold(sell(trial_days=14), start=utc(2026, 3, 10))  # clocks change on the 29th
    before = subscription.trial_end_at
    assert extend(subscription).trial_end_at - before == timedelta(days=10, hours=-1)


def test_only_a_trial_that_runs_is_extended(sold, sell):
    with pytest.raises(Conflict) as error:
        extend(sold())
    assert error.value.code == "NO_TRIAL"
    subscription = sold(sell(trial_days=30))
    with pytest.raises(Conflict) as error:
        extend(subscription, now=subscription.trial_end_at - timedelta(minutes=9))
    assert error.value.code == "PERIOD_TURNS"
    assert stored(subscription)[0] == ("TRIAL", utc(2026, 3, 1), utc(2026, 3, 31))


def test_a_coupon_gives_days_of_trial_once(sold, sell, tenant):
    subscription = sold(sell(trial_days=30))
    coupon = CouponFactory(tenant=tenant, discount_type="TRIAL_DAYS", discount_value=10)
    given = {"tenant": tenant, "code": coupon.code, "customer": subscription.customer}
    redemption = redeem_coupon(**given, actor=Actor.system(), now=NOW)
    subscription.refresh_from_db()
    assert subscription.trial_end_at == utc(2026, 4, 10)
    with pytest.raises(Conflict):
        redeem_coupon(**given, actor=Actor.system(), now=NOW)
    with pytest.raises(Conflict, match="given already"):
        revoke_redemption(redemption=redemption, actor=Actor.system(), now=NOW)


def test_a_coupon_that_gives_nothing_is_not_redeemed(sold, tenant):
    subscription = sold()
    coupon = CouponFactory(tenant=tenant, discount_type="TRIAL_DAYS", discount_value=10)
    with pytest.raises(Conflict, match="no trial"):
        redeem_coupon(
            tenant=tenant,
            code=coupon.code,
            customer=subscription.customer,
            actor=Actor.system(),
            now=NOW,
        )
    assert coupon.redemptions.count() == 0
