"""Discounts where one period is asked for on two invoices: granted as if it were one."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.models import CouponUse
from billing.services.voiding import void_invoice
from catalog.models import SubscriptionPlan
from tests.billing.build import APRIL
from tests.billing.metered import meter
from tests.billing.services.test_openings import ACTOR, MAY, bill, in_advance
from tests.factories import (
    MONTH_START,
    CouponFactory,
    CouponRedemptionFactory,
    RatePlanVersionFactory,
)

pytestmark = pytest.mark.django_db
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def holds(period):
    assert broken_truths(tenant_id=period.tenant_id, full=True) == {}


def redeemed(march, **fields):
    kind = {"discount_type": "FIXED_AMOUNT", "currency": "USD"}
    coupon = CouponFactory(tenant=march.tenant, **kind | fields)
    return CouponRedemptionFactory(
        coupon=coupon,
        customer=march.subscription.customer,
        redeemed_at=MONTH_START,
        ends_at=JUNE if fields["duration"] == "REPEATING" else None,
    )


REPEATING = {"duration": "REPEATING", "duration_in_months": 3}


@pytest.mark.parametrize("duration", [REPEATING, {"duration": "FOREVER"}])
@pytest.mark.parametrize(("fee", "first"), [(31, [10]), (4, [4, 6])])
def test_a_coupon_of_an_amount_is_granted_once_per_period(duration, fee, first):
    march, april, _ = in_advance(base_fee=Decimal(fee), setup_fee=Decimal(0))
    redemption = redeemed(march, **duration)
    meter(march, march.subscription.plans.get().version.prices.get().unit, [1] * 5)
    bill([march], now=MONTH_START)
    bill([march], now=APRIL)
    granted = CouponUse.objects.filter(redemption=redemption).order_by("invoice__created_at")
    assert [use.amount for use in granted] == first
    meter(april, march.subscription.plans.get().version.prices.get().unit, [1] * 9)
    bill([april], now=MAY)
    assert sum(use.amount for use in granted.all()) == 20
    holds(march)


def test_what_a_void_opening_granted_is_granted_with_the_period():
    march, *_ = in_advance()
    redemption = redeemed(march, **REPEATING)
    (opening,) = bill([march], now=MONTH_START)
    void_invoice(invoice=opening, reason="wrong", actor=ACTOR, now=MONTH_START)
    bill([march], now=APRIL)
    assert [use.amount for use in CouponUse.objects.filter(redemption=redemption)] == [10]
    holds(march)


@pytest.mark.parametrize("percent", [0, 10])
def test_the_first_fee_of_a_plan_that_is_changed_to_has_its_discount(percent):
    march, *_ = in_advance(base_fee=Decimal(0), setup_fee=Decimal(0), discount_percent=50)
    coming = RatePlanVersionFactory(
        tenant=march.tenant,
        published=True,
        base_fee=Decimal(31),
        base_fee_timing="ADVANCE",
        discount_percent=percent,
        discount_amount=5,
    )
    pinned = SubscriptionPlan.objects.filter(subscription=march.subscription)
    pinned.update(end_at=APRIL)
    SubscriptionPlan.objects.create(
        tenant=march.tenant,
        subscription=march.subscription,
        version=coming,
        start_at=APRIL,
        position=0,
    )
    (invoice,) = bill([march], now=APRIL)
    off = Decimal("3.10") if percent else 0
    assert (invoice.discount_total, invoice.total) == (off, 31 - off)
    holds(march)


@pytest.mark.parametrize(
    ("duration", "off"),
    [
        (REPEATING, ["3.1000", "3.6000", "3.6000", "0.5000"]),
        ({"duration": "FOREVER"}, ["3.1000", "3.6000", "3.6000", "3.6000"]),
        ({"duration": "ONCE"}, ["3.1000", "0.0000", "0.0000", "0.0000"]),
    ],
    ids=["three months", "for ever", "one invoice"],
)
def test_a_percentage_over_months_is_of_their_fees_and_usage(duration, off):
    """Three months are three fees, whichever invoice asks for them, and three months of usage."""
    periods = in_advance(months=5, setup_fee=Decimal(0))
    march, april, may, *_ = periods
    redeemed(march, discount_type="PERCENTAGE", discount_value=10, **duration)
    unit = march.subscription.plans.get().version.prices.get().unit
    invoices = bill([march], now=MONTH_START)
    for period in (march, april, may):
        meter(period, unit, [1] * 5)
        invoices += bill([period], now=period.end_at)
    assert [str(one.discount_total) for one in invoices] == off
    holds(march)
