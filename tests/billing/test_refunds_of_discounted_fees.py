"""A fee in advance that a discount took a part off: only the rest of it can come back."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.models import InvoiceLine
from catalog.services.plan_changes import move_to_version
from catalog.services.subscriptions import cancel_subscription
from tests.billing.build import APRIL
from tests.billing.metered import meter
from tests.billing.services.test_openings import ACTOR, MAY, bill, in_advance
from tests.factories import (
    MONTH_START,
    ContractFactory,
    CouponFactory,
    CouponRedemptionFactory,
    RatePlanVersionFactory,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def redeemed(period, duration, *, at=MONTH_START, ends_at=None):
    months = {"duration_in_months": 1} if duration == "REPEATING" else {}
    coupon = CouponFactory(
        tenant=period.tenant,
        currency="USD",
        discount_type="PERCENTAGE",
        discount_value=50,
        duration=duration,
        **months,
    )
    CouponRedemptionFactory(
        coupon=coupon, customer=period.subscription.customer, redeemed_at=at, ends_at=ends_at
    )


def cancelled_after_a_day(period, used):
    unit = period.subscription.plans.get().version.prices.get().unit
    cancel_subscription(subscription=period.subscription, actor=ACTOR, now=period.start_at + DAY)
    period.refresh_from_db()
    meter(period, unit, [1] * used)


@pytest.mark.parametrize(
    ("duration", "redeemed_after", "asked", "total"),
    [
        ("ONCE", timedelta(), 31, 80 - 30),
        ("FOREVER", timedelta(), 31, 40 - 30),
        ("FOREVER", timedelta(hours=12), 62, 0),  # 40 of usage; of 60 unused 20 wait
    ],
    ids=["once", "for ever", "after the opening"],
)
def test_30_of_31_days_unused_are_30_of_31_parts_of_what_was_asked_for(
    duration, redeemed_after, asked, total
):
    march, *_ = in_advance(base_fee=Decimal(62), setup_fee=Decimal(0))
    redeemed_at = MONTH_START + redeemed_after
    redeemed(march, duration, at=redeemed_at)
    (opening,) = bill([march], now=MONTH_START)
    cancelled_after_a_day(march, used=80)
    (invoice,) = bill([march], now=APRIL)
    assert (opening.total, invoice.total) == (asked, total)
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}


def test_what_a_contract_took_off_that_has_ended_since_is_not_given_back():
    march, april, _ = in_advance(base_fee=Decimal(60), setup_fee=Decimal(0))
    agreed = ContractFactory(
        tenant=march.tenant,
        customer=march.subscription.customer,
        start_at=MONTH_START,
        end_at=APRIL,
        phases=[{"discount_percent": Decimal(50)}],
        agreed=True,
    )
    march.contract_phase = agreed.phases.get()
    march.save()
    bill([march], now=MONTH_START)
    (second,) = bill([march], now=APRIL)
    cancelled_after_a_day(april, used=80)
    (last,) = bill([april], now=MAY)
    assert (second.total, last.total) == (30, 80 - 29)


@pytest.mark.parametrize(
    ("duration", "redeemed_at", "ends_at", "totals"),
    [
        ("REPEATING", MONTH_START, MONTH_START + 11 * DAY, ["15.5", "31.5", "62"]),
        ("FOREVER", MONTH_START, None, ["15.5", "10.5", "31"]),
        ("FOREVER", MONTH_START + 10 * DAY + DAY / 48, None, ["31", "0", "31"]),
    ],
    ids=["its last month", "for ever", "the next fee alone"],
)
def test_a_plan_is_changed_under_a_coupon(duration, redeemed_at, ends_at, totals):
    """On the tenth day of a month of 31.00, to 62.00; 21 days are unused."""
    march, *_ = in_advance(base_fee=Decimal(31), setup_fee=Decimal(0))
    redeemed(march, duration, at=redeemed_at, ends_at=ends_at)
    invoices = bill([march], now=MONTH_START)
    old = march.subscription.plans.get().version
    dearer = RatePlanVersionFactory(
        tenant=march.tenant,
        rate_plan=old.rate_plan,
        number=2,
        prices={old.prices.get().unit: {"model": "PER_UNIT", "rate": "1"}},
        published=True,
        base_fee=Decimal(62),
        base_fee_timing="ADVANCE",
    )
    changed = MONTH_START + 10 * DAY
    subscription = march.subscription
    move_to_version(subscription=subscription, version=dearer, actor=ACTOR, now=changed)
    periods = list(march.subscription.periods.order_by("start_at"))
    for now in (changed + timedelta(hours=1), APRIL):
        invoices += bill(periods, now=now)
    assert [one.total for one in invoices] == [Decimal(total) for total in totals]
    back = InvoiceLine.objects.filter(type=InvoiceLine.Type.PRORATION)
    assert [line.amount for line in back] == [-21]
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}
