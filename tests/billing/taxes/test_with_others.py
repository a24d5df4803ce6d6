"""Taxes together with what else becomes of invoices: families, refreshing, voiding, late usage."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import BillRun, Invoice
from billing.services.consolidation import consolidate_waiting
from billing.services.invoices import bill_periods
from billing.services.regenerating import refresh_invoice
from billing.taxes.settling import settle_taxes
from billing.verification import verify_invoice
from catalog.models import BillingEntity, Customer
from catalog.services.billing_entities import rotate_tax_secret
from tests.billing.build import bill_run, priced_subscription
from tests.factories import TaxRateFactory

NOW = datetime(2026, 4, 2, tzinfo=UTC)
ACTOR = Actor.system("tests")


def sold(count=1, **entity):
    """The March periods of as many subscriptions of one seller in Germany, at 100.00 each."""
    first, _ = priced_subscription(base_fee="100.00")
    tenant, version = first.tenant, first.subscription.plans.get().version
    more = [priced_subscription(tenant=tenant, version=version)[0] for _ in range(count - 1)]
    seller = first.subscription.billing_entity
    BillingEntity.objects.filter(pk=seller.pk).update(country="DE", **entity)
    Customer.objects.update(country="DE")
    rotate_tax_secret(entity=seller, actor=ACTOR, now=NOW)
    return [first, *more]


def billed(periods, **fields):
    run = bill_run(periods[0].tenant, auto_finalize=True, **fields)
    bill_periods(run=run, period_ids=[period.id for period in periods], now=NOW)
    return run


@pytest.mark.django_db(transaction=True)
def test_a_family_waits_for_all_its_taxes(engine):
    parent, child = sold(2, tax_engine="HTTP", tax_url=engine.url)
    Customer.objects.filter(pk=child.subscription.customer_id).update(
        parent=parent.subscription.customer
    )
    run = billed([parent, child])
    BillRun.objects.filter(pk=run.pk).update(status="COMPLETED")
    assert consolidate_waiting(now=NOW) == 0
    assert settle_taxes(now=NOW) == 2
    assert consolidate_waiting(now=NOW) == 1
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    assert (whole.status, whole.tax_status) == ("OPEN", "SETTLED")
    assert (whole.subtotal, whole.tax_total, whole.total) == (200, 38, 238)


@pytest.mark.django_db(transaction=True)
def test_a_refreshed_draft_is_asked_about_anew(engine):
    (period,) = sold(tax_engine="HTTP", tax_url=engine.url, grace_days=3)
    billed([period])
    assert settle_taxes(now=NOW) == 1
    draft = Invoice.objects.get()
    assert draft.total == 119
    fresh = refresh_invoice(invoice=draft, actor=ACTOR, now=NOW)
    assert (fresh.tax_status, fresh.total) == ("PENDING", 100)
    assert settle_taxes(now=NOW) == 1
    fresh.refresh_from_db()
    assert (fresh.tax_status, fresh.total) == ("SETTLED", 119)


@pytest.mark.django_db
@pytest.mark.parametrize("inclusive", [True, False])
def test_a_taxed_invoice_verifies(inclusive):
    (period,) = sold(tax_engine="TABLE", tax_inclusive=inclusive)
    TaxRateFactory(tenant=period.tenant)
    billed([period])
    invoice = Invoice.objects.get()
    assert invoice.total == (100 if inclusive else 119)
    assert invoice.tax_total == (Decimal("15.97") if inclusive else 19)
    assert verify_invoice(invoice).holds
    assert not broken_truths(full=True)
