"""Taxes of usage so far, by the tax code of what was used."""

from datetime import timedelta
from decimal import Decimal

import pytest

from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import InvoiceLine
from billing.selectors.progress import earlier_facts
from billing.services.progress import invoice_now
from catalog.services.subscriptions import cancel_subscription
from tests.billing.build import APRIL
from tests.billing.metered import meter
from tests.billing.services.test_openings import ACTOR, bill, in_advance
from tests.billing.test_invariants import change
from tests.billing.test_late_usage import fresh_process, months, no_wakes, seller
from tests.factories import MONTH_START, BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import event

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db


def test_what_was_asked_for_is_known_by_tax_code(seller, queued):
    books = BillableUnitFactory(
        tenant=seller.tenant, name="books", aggregation="SUM", tax_code="BOOKS"
    )
    things = BillableUnitFactory(tenant=seller.tenant, name="things", aggregation="SUM")
    per_unit = {"model": "PER_UNIT", "rate": "1"}
    version = RatePlanVersionFactory(
        tenant=seller.tenant,
        prices={books: per_unit, things: per_unit},
        published=True,
        discount_percent=Decimal(10),
    )
    subscription = subscribe(seller.tenant, "buyer", version, months=2)
    at = {"customerId": "buyer", "occurredAt": "2026-03-10T00:00:00Z"}
    seller.count(
        event(1, quantity=60, metricName="books", **at),
        event(2, quantity=20, metricName="things", **at),
    )
    now = APRIL - timedelta(days=16)
    made = invoice_now(subscription=subscription, actor=Actor.system("tests"), now=now)
    assert made.total == Decimal(72)
    (found,) = earlier_facts(tenant_id=seller.tenant.pk, period_ids=[made.period_id]).values()
    assert [(one.tax_code, one.amount) for one in found] == [("", 18), ("BOOKS", 54)]


def test_what_was_given_back_early_of_another_tax_code_is_no_false_alarm():
    """50.00 of calls less 20.00 of a fee are asked for early, and taken off as two lines."""
    march, *_ = in_advance(base_fee=Decimal(62), setup_fee=Decimal(0))
    version = march.subscription.plans.get().version
    version.rate_plan.tax_code = "FEES"
    version.rate_plan.save()
    unit = version.prices.get().unit
    unit.tax_code = "CALLS"
    unit.save()
    bill([march], now=MONTH_START)
    meter(march, unit, [1] * 50)
    day = timedelta(days=1)
    ends = {"now": MONTH_START + 5 * day, "at": MONTH_START + 21 * day}
    cancel_subscription(subscription=march.subscription, actor=ACTOR, **ends)
    march.refresh_from_db()
    made = invoice_now(subscription=march.subscription, actor=ACTOR, now=MONTH_START + 6 * day)
    bill([march], now=APRIL)
    again = InvoiceLine.objects.filter(stage="Discount").order_by("position")
    assert (made.total, [(line.type, line.amount) for line in again]) == (
        Decimal(30),
        [("CHARGE", Decimal(20)), ("CREDIT", Decimal(-50))],
    )
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}
    change("UPDATE invoice_lines SET amount = 10 WHERE stage = 'Discount' AND type = 'CHARGE'")
    broken = broken_truths(tenant_id=march.tenant_id, full=True)
    assert "what was asked for early is asked for once" in broken
