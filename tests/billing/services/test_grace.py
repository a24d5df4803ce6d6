from datetime import UTC, datetime, timedelta

import pytest

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from billing.services.grace import issue_due_drafts
from billing.services.invoices import bill_periods, finalize_invoice
from catalog.models import BillingEntity
from tests.billing.build import bill_run, priced_subscription
from tests.threads import in_threads

NOW = datetime(2026, 4, 2, tzinfo=UTC)
GRACE = timedelta(days=3)
ACTOR = Actor.system("tests")


def drafted(count=1, *, auto_finalize=True):
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    tenant, version = period.tenant, period.subscription.plans.get().version
    more = [priced_subscription(tenant=tenant, version=version)[0] for _ in range(count - 1)]
    BillingEntity.objects.update(grace_days=GRACE.days)
    run = bill_run(tenant, auto_finalize=auto_finalize)
    bill_periods(run=run, period_ids=[one.id for one in (period, *more)], now=NOW)
    return Invoice.objects.order_by("id")


@pytest.mark.django_db
def test_an_invoice_stays_a_draft_for_its_days_of_grace_and_is_then_issued():
    (invoice,) = drafted()
    assert (invoice.status, invoice.draft_until) == ("DRAFT", NOW + GRACE)
    assert issue_due_drafts(now=NOW + GRACE - timedelta(seconds=1)) == 0
    assert issue_due_drafts(now=NOW + GRACE) == 1
    invoice.refresh_from_db()
    assert (invoice.status, invoice.number) == ("OPEN", "INV-2026-0001")
    assert invoice.issued_at == NOW + GRACE


@pytest.mark.django_db
def test_a_draft_that_was_not_to_be_final_stays_one_for_good():
    (invoice,) = drafted(auto_finalize=False)
    assert invoice.draft_until is None
    assert issue_due_drafts(now=NOW + 100 * GRACE) == 0


@pytest.mark.django_db
def test_a_draft_in_its_days_of_grace_may_be_issued_by_hand():
    (invoice,) = drafted()
    assert finalize_invoice(invoice=invoice, actor=ACTOR, now=NOW).status == "OPEN"
    assert issue_due_drafts(now=NOW + GRACE) == 0


@pytest.mark.django_db
def test_an_invoice_whose_tax_is_not_known_is_not_issued():
    (invoice,) = drafted()
    Invoice.objects.update(tax_status="PENDING")
    assert issue_due_drafts(now=NOW + GRACE) == 0
    with pytest.raises(Conflict) as refusal:
        finalize_invoice(invoice=invoice, actor=ACTOR, now=NOW)
    assert refusal.value.code == "TAX_NOT_SETTLED"
    assert Invoice.objects.get().status == "DRAFT"


@pytest.mark.django_db(transaction=True)
def test_eight_sweeps_at_once_issue_each_draft_once():
    drafted(12)
    assert sum(in_threads(8, lambda _: issue_due_drafts(now=NOW + GRACE))) == 12
    numbers = sorted(Invoice.objects.values_list("number", flat=True))
    assert numbers == [f"INV-2026-{number:04d}" for number in range(1, 13)]
