"""Taxes together with what else becomes of invoices: families, refreshing, voiding, late usage."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pgtrigger
import pytest

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import BillRun, Invoice
from billing.services.consolidation import consolidate_run, consolidate_waiting
from billing.services.grace import issue_due_drafts
from billing.services.invoices import bill_periods, finalize_invoice
from billing.services.regenerating import refresh_invoice, regenerate_invoice
from billing.services.voiding import void_invoice
from billing.taxes.settling import ask_again, settle_taxes
from billing.verification import verify_invoice
from catalog.models import BillableUnit, BillingEntity, Customer
from catalog.services.billing_entities import rotate_tax_secret
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.billing.services.test_openings import bill, in_advance
from tests.billing.taxes.engine_server import vat
from tests.billing.test_refunds_of_discounted_fees import cancelled_after_a_day
from tests.factories import MONTH_START, CustomerFactory, TaxRateFactory

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


def in_family(count=2, **entity):
    """The periods of as many children of one parent, and what their seller's engine adds."""
    periods = sold(count, **entity)
    parent = CustomerFactory(tenant=periods[0].tenant, external_id="a-parent")
    ids = [period.subscription.customer_id for period in periods]
    Customer.objects.filter(pk__in=ids).update(parent=parent, country="DE")
    return periods


def stands(kind="PERIOD"):
    """How the invoices of a kind stand, without the void ones."""
    found = Invoice.objects.filter(kind=kind).exclude(status="VOID").order_by("created_at", "pk")
    return [(one.status, one.tax_status, one.total) for one in found]


@pytest.mark.django_db(transaction=True)
def test_what_is_made_anew_as_final_is_issued_when_it_has_its_tax(engine):
    (period,) = sold()
    billed([period])
    invoice = Invoice.objects.get()
    BillingEntity.objects.update(tax_engine="HTTP", tax_url=engine.url)
    void_invoice(invoice=invoice, reason="tax", actor=ACTOR, now=NOW)
    fresh = regenerate_invoice(invoice=invoice, actor=ACTOR, now=NOW, finalize=True)
    assert (fresh.number, fresh.draft_until) == (None, NOW)
    assert stands() == [("DRAFT", "PENDING", 100)]
    assert settle_taxes(now=NOW) == 1
    assert stands() == [("OPEN", "SETTLED", 119)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("finalize", [True, False])
def test_a_family_made_anew_is_issued_when_its_last_part_has_its_tax(engine, finalize):
    periods = in_family()
    run = billed(periods)
    consolidate_run(run_id=run.pk, now=NOW)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    assert stands("CONSOLIDATED") == [("OPEN", "SETTLED", 200)]
    BillingEntity.objects.update(tax_engine="HTTP", tax_url=engine.url)
    void_invoice(invoice=whole, reason="tax", actor=ACTOR, now=NOW)
    fresh = regenerate_invoice(invoice=whole, actor=ACTOR, now=NOW, finalize=finalize)
    assert stands("CONSOLIDATED") == [("DRAFT", "PENDING", 200)]
    with pytest.raises(Conflict, match="tax"):
        finalize_invoice(invoice=fresh, actor=ACTOR, now=NOW)
    assert issue_due_drafts(now=NOW) == 0
    first = fresh.parts.order_by("pk").first()
    Invoice.objects.filter(pk=first.pk).update(tax_retry_at=NOW + timedelta(hours=1))
    assert settle_taxes(now=NOW) == 1
    assert stands("CONSOLIDATED") == [("DRAFT", "PENDING", 219)]
    assert not broken_truths(full=True)
    ask_again(invoice=fresh, actor=ACTOR, now=NOW)  # of the whole: of all that wait of it
    assert settle_taxes(now=NOW) == 1
    status = "OPEN" if finalize else "DRAFT"
    assert stands("CONSOLIDATED") == [(status, "SETTLED", 238)]
    assert stands() == [(status, "SETTLED", 119), (status, "SETTLED", 119)]
    assert settle_taxes(now=NOW) == 0
    assert not broken_truths(full=True)


@pytest.mark.django_db(transaction=True)
def test_a_family_that_is_refreshed_waits_for_its_taxes_again(engine):
    periods = in_family(tax_engine="HTTP", tax_url=engine.url, grace_days=3)
    run = billed(periods)
    BillRun.objects.filter(pk=run.pk).update(status="COMPLETED")
    assert settle_taxes(now=NOW) == 2
    assert consolidate_waiting(now=NOW) == 1
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    fresh = refresh_invoice(invoice=whole, actor=ACTOR, now=NOW)
    assert (fresh.tax_status, fresh.total) == ("PENDING", 200)
    assert issue_due_drafts(now=NOW + timedelta(days=4)) == 0
    assert settle_taxes(now=NOW) == 2
    assert stands("CONSOLIDATED") == [("DRAFT", "SETTLED", 238)]
    assert issue_due_drafts(now=NOW + timedelta(days=4)) == 1
    assert stands("CONSOLIDATED") == [("OPEN", "SETTLED", 238)]
    assert not broken_truths(full=True)


def at_7_and_19_percent(question):
    """The answer of an honest engine that knows of books."""
    lines = []
    for line in question["lines"]:
        one = vat(question | {"lines": [line]}, "7" if line["taxCode"] else "19")
        lines += one["lines"]
    total = sum(Decimal(line["taxes"][0]["amount"]) for line in lines)
    return 200, {"lines": lines, "taxTotal": str(total)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("of_family", [False, True])
def test_taxes_below_zero_are_held_to_what_there_is(engine, queued, of_family):
    """30.00 of books at 7 % less 30.00 of a fee at 19 %: 2.10 less 5.70, on 0.00."""
    engine.answers = at_7_and_19_percent
    march, *_ = in_advance(base_fee=Decimal(62), setup_fee=Decimal(0))
    seller = march.subscription.billing_entity
    BillingEntity.objects.update(tax_engine="HTTP", tax_url=engine.url, country="DE")
    rotate_tax_secret(entity=seller, actor=ACTOR, now=MONTH_START)
    BillableUnit.objects.update(tax_code="BOOKS")
    bill([march], now=MONTH_START)
    assert settle_taxes(now=MONTH_START) == 1
    if of_family:
        parent = CustomerFactory(tenant=march.tenant, external_id="a-parent", country="DE")
        Customer.objects.filter(pk=march.subscription.customer_id).update(parent=parent)
    cancelled_after_a_day(march, used=30)
    bill([march], now=APRIL)
    BillRun.objects.update(status="COMPLETED")
    assert settle_taxes(now=APRIL) == 1
    assert consolidate_waiting(now=APRIL) == of_family
    assert stands() == [("OPEN", "SETTLED", 0)]
    assert stands("CONSOLIDATED") == [("OPEN", "SETTLED", 0)] * of_family
    lines = Invoice.objects.get(kind="PERIOD").lines.filter(stage="Tax").order_by("position")
    assert [line.amount for line in lines] == [Decimal("-2.10"), Decimal("2.10")]
    assert not broken_truths(full=True)


@pytest.mark.django_db
def test_what_was_issued_without_its_tax_is_told_of():
    periods = in_family()
    run = billed(periods)
    consolidate_run(run_id=run.pk, now=NOW)
    part = Invoice.objects.filter(part_of__isnull=False).order_by("pk").first()
    truth = "nothing is issued before its tax is settled"
    assert truth not in broken_truths(full=True)
    with pgtrigger.ignore("billing.Invoice:issued_invoices_never_change"):
        Invoice.objects.filter(pk=part.pk).update(tax_status="FAILED")
    (found,) = broken_truths(full=True)[truth]
    assert (found.subject, found.found) == (f"invoice {part}", "it is OPEN, its tax is FAILED")
    with pgtrigger.ignore("billing.Invoice:issued_invoices_never_change"):
        Invoice.objects.update(status="DRAFT", number=None, issued_at=None)
    (found,) = broken_truths(full=True)[truth]
    assert found.found == "it is DRAFT, its tax is SETTLED, that of its parts is not"
