"""Truths of what is never asked for, each broken behind the back of the services."""

from datetime import timedelta

import pytest

from billing.invariants import broken_truths
from billing.models import Invoice
from catalog.models import SubscriptionPhase
from tests.billing.test_invariants import billed, change

pytestmark = pytest.mark.django_db


def test_a_discount_above_its_lines_is_named():
    billed()
    change("UPDATE invoices SET discount_total = subtotal + 1, tax_total = 1, total = 0")
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
