"""Truths of what is never asked for, each broken behind the back of the services."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.invariants import broken_truths
from billing.models import Invoice
from billing.services.consolidation import consolidate_waiting
from catalog.models import BillableUnit, BillingEntity, Customer, SubscriptionPhase
from tests.billing.build import APRIL
from tests.billing.services.test_openings import bill, in_advance
from tests.billing.test_invariants import billed, change
from tests.billing.test_refunds_of_discounted_fees import cancelled_after_a_day
from tests.factories import MONTH_START, CustomerFactory, TaxRateFactory

pytestmark = pytest.mark.django_db


def test_a_discount_above_its_lines_is_named():
    billed()
    change("UPDATE invoices SET discount_total = subtotal + 1, tax_total = 1, total = 0")
    assert "no invoice is below zero, no discount above its lines" in broken_truths(full=True)


def test_what_is_taken_out_as_contained_tax_is_no_false_alarm():
    """30.00 of books, 4.79 of it tax, less 30.00 of a fee, 1.96 of it tax: 2.83 below zero."""
    march, *_ = in_advance(base_fee=Decimal(62), setup_fee=Decimal(0))
    BillingEntity.objects.update(tax_engine="TABLE", tax_inclusive=True, country="DE")
    BillableUnit.objects.update(tax_code="BOOKS")
    TaxRateFactory(tenant=march.tenant, percent=7)
    TaxRateFactory(tenant=march.tenant, percent=19, tax_code="BOOKS")
    Customer.objects.update(country="DE")
    bill([march], now=MONTH_START)
    parent = CustomerFactory(tenant=march.tenant, external_id="a-parent", country="DE")
    Customer.objects.filter(pk=march.subscription.customer_id).update(parent=parent)
    cancelled_after_a_day(march, used=30)
    bill([march], now=APRIL)
    assert consolidate_waiting(now=APRIL) == 1
    for kind in ("PERIOD", "CONSOLIDATED"):
        invoice = Invoice.objects.get(kind=kind)
        assert (invoice.subtotal, invoice.tax_total) == (Decimal("-2.83"), Decimal("2.83"))
    assert not broken_truths(full=True)
    change("UPDATE invoices SET discount_total = 0.01, tax_total = 2.84 WHERE subtotal < 0")
    assert "no invoice is below zero, no discount above its lines" in broken_truths(full=True)


def test_an_invoice_of_a_trial_is_named():
    billed()
    change("UPDATE subscription_periods SET kind = 'TRIAL'")
    assert "a trial is never invoiced" in broken_truths(full=True)


@pytest.mark.parametrize("end", ["CANCELLED", "EXPIRED"])
def test_a_subscription_that_goes_on_after_its_end_is_named(end):
    subscription = billed().period.subscription
    for state, later in ((end, 0), ("ACTIVE", 1)):
        SubscriptionPhase.objects.create(
            tenant_id=subscription.tenant_id,
            subscription=subscription,
            offering_id=subscription.offering_id,
            state=state,
            started_at=subscription.start_at + timedelta(days=later),
        )
    assert "what was cancelled or has expired stays so" in broken_truths(full=True)
    assert "a trial is never invoiced" not in broken_truths(full=True)
    assert Invoice.objects.count() == 1
