"""What an invoice has no room to give back is given back by the next one that has."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.services.voiding import void_invoice
from billing.verification import verify_invoice
from catalog.models import SubscriptionPeriod, SubscriptionPlan
from tests.billing.build import APRIL
from tests.billing.metered import meter
from tests.billing.services.test_openings import ACTOR, MAY, bill, in_advance
from tests.factories import MONTH_START, BillableUnitFactory, RatePlanVersionFactory

pytestmark = pytest.mark.django_db
CHANGED = datetime(2026, 3, 11, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def downgraded(db):
    """31.00 paid for March; from the 11th on a plan that asks for what is used alone."""
    march, april, may = in_advance(setup_fee=Decimal(0), months=3)
    subscription = march.subscription
    bill([march], now=MONTH_START)
    unit = BillableUnitFactory(tenant=march.tenant)
    usage = RatePlanVersionFactory(
        tenant=march.tenant, prices={unit: {"model": "PER_UNIT", "rate": "1"}}, published=True
    )
    SubscriptionPlan.objects.filter(subscription=subscription).update(end_at=CHANGED)
    SubscriptionPlan.objects.create(
        tenant=march.tenant, subscription=subscription, version=usage, start_at=CHANGED
    )
    march.whole_end_at, march.end_at = march.end_at, CHANGED
    march.save()
    rest = SubscriptionPeriod.objects.create(
        tenant=march.tenant,
        subscription=subscription,
        start_at=CHANGED,
        end_at=APRIL,
        whole_start_at=MONTH_START,
    )
    return [march, rest, april, may], unit, usage


def given_back(invoice):
    return [(line.amount, line.covers_start_at) for line in invoice.lines.filter(type="PRORATION")]


def test_unused_fees_wait_until_all_of_them_is_given_back(downgraded):
    (march, rest, april, may), unit, usage = downgraded
    meter(rest, unit, [1] * 5, version=usage)
    meter(april, unit, [1] * 9, version=usage)
    meter(may, unit, [1] * 10, version=usage)
    (first,) = bill([march], now=CHANGED)
    assert (first.total, given_back(first)) == (0, [])  # nothing was used: no room
    (second,) = bill([rest], now=APRIL)
    assert (second.total, given_back(second)) == (0, [(-5, MONTH_START)])
    third, fourth = bill([april, may], now=JUNE)
    assert (third.total, given_back(third)) == (0, [(-9, MONTH_START)])
    assert (fourth.total, given_back(fourth)) == (3, [(-7, MONTH_START)])  # 5 + 9 + 7 of 21
    for invoice in (first, second, third, fourth):
        assert verify_invoice(invoice).broken == ()
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}


def test_what_a_void_invoice_gave_back_waits_again(downgraded):
    (march, rest, april, _), unit, usage = downgraded
    meter(rest, unit, [1] * 30, version=usage)
    meter(april, unit, [1] * 30, version=usage)
    bill([march], now=CHANGED)
    (second,) = bill([rest], now=APRIL)
    assert (second.total, given_back(second)) == (9, [(-21, MONTH_START)])
    void_invoice(invoice=second, reason="wrong", actor=ACTOR, now=APRIL)
    (third,) = bill([april], now=MAY)
    assert given_back(third) == [(-21, MONTH_START)]
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}
