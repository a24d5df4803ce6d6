from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import BillRunItem, Invoice
from billing.services import bill_pages
from billing.services.bill_runs import advance_run
from billing.services.consolidation import consolidate_run, consolidate_waiting
from billing.services.grace import issue_due_drafts
from billing.services.invoices import bill_periods, finalize_invoice
from billing.services.regenerating import refresh_invoice, regenerate_invoice
from billing.services.voiding import void_invoice
from catalog.models import BillingEntity, Customer
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.billing.metered import meter
from tests.billing.services.test_openings import MAY, in_advance
from tests.factories import CustomerFactory, TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
ACTOR = Actor.system("tests")


def family(children=2, *, with_own=False, tenant=None):
    """A parent, and the March periods of its children (and its own), worth 2 each."""
    tenant = tenant or TenantFactory()
    parent = CustomerFactory(tenant=tenant, external_id="a-parent", name="Parent Inc.")
    periods = []
    for number in range(children + with_own):
        period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "1"}, tenant=tenant)
        meter(period, unit, [1, 1])
        child = period.subscription.customer
        if number < children:
            Customer.objects.filter(pk=child.pk).update(parent=parent)
        else:
            type(period.subscription).objects.filter(pk=period.subscription_id).update(
                customer=parent
            )
        periods.append(period)
    return parent, periods


def billed(parent, *, auto_finalize=True):
    run = bill_run(parent.tenant, status="WAITING", inbox_watermark=0, auto_finalize=auto_finalize)
    advance_run(run_id=run.id, now=NOW)
    bill_pages.bill_page(run_id=run.id, page=0, now=NOW)
    run.refresh_from_db()
    return run


def numbers():
    return sorted(filter(None, Invoice.objects.values_list("number", flat=True)))


def test_children_are_parts_of_one_invoice_to_the_parent(queued):
    parent, _ = family(3)
    run = billed(parent)
    assert run.status == "COMPLETED"
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    assert (whole.customer, whole.status, whole.total) == (parent, "OPEN", Decimal(6))
    assert whole.buyer["name"] == "Parent Inc."
    assert (whole.subscription, whole.period) == (None, None)
    assert numbers() == [
        "INV-2026-0001",
        "INV-2026-0001/1",
        "INV-2026-0001/2",
        "INV-2026-0001/3",
    ]
    assert set(whole.parts.values_list("status", "due_at")) == {("OPEN", whole.due_at)}
    assert broken_truths(tenant_id=parent.tenant_id, full=True) == {}


def test_the_parents_own_subscription_is_a_part_and_others_are_not(queued):
    parent, _ = family(1, with_own=True)
    priced_subscription({"model": "FLAT_RATE", "flatRate": "5"}, tenant=parent.tenant)
    billed(parent)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    assert (whole.total, whole.parts.count()) == (Decimal(4), 2)
    assert Invoice.objects.get(part_of=None, kind="PERIOD").total == Decimal(5)


def test_a_parent_that_is_billed_alone_gets_its_invoice_as_it_is(queued):
    parent, (period, _) = family(1, with_own=True)
    Customer.objects.filter(pk=period.subscription.customer_id).update(parent=None)
    CustomerFactory(tenant=parent.tenant, parent=parent)
    billed(parent)
    assert not Invoice.objects.filter(kind="CONSOLIDATED").exists()
    assert set(Invoice.objects.values_list("status", flat=True)) == {"OPEN"}


def test_without_auto_finalize_it_is_a_draft_and_is_opened_with_its_parts(queued):
    parent, _ = family()
    billed(parent, auto_finalize=False)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    part = whole.parts.first()
    with pytest.raises(Conflict) as refusal:
        finalize_invoice(invoice=part, actor=ACTOR, now=NOW)
    assert refusal.value.code == "INVOICE_IS_A_PART"
    finalize_invoice(invoice=whole, actor=ACTOR, now=NOW)
    assert numbers() == ["INV-2026-0001", "INV-2026-0001/1", "INV-2026-0001/2"]


def test_a_family_with_a_failure_waits_for_it(queued):
    parent, (one, other) = family()
    run = billed(parent, auto_finalize=True)
    Invoice.objects.all()  # both parts and the whole stand
    assert run.invoices.count() == 3

    tenant = TenantFactory()
    parent, (one, other) = family(tenant=tenant)
    run = bill_run(tenant, status="WAITING", inbox_watermark=0, auto_finalize=True)
    advance_run(run_id=run.id, now=NOW)
    BillRunItem.objects.filter(run=run, period=other).update(status="FAILED")
    bill_pages.bill_page(run_id=run.id, page=0, now=NOW)
    assert list(run.invoices.values_list("kind", "status")) == [("PERIOD", "DRAFT")]
    BillRunItem.objects.filter(run=run).update(status="PENDING")
    type(run).objects.filter(pk=run.pk).update(status="RUNNING", completed_at=None)
    bill_pages.bill_page(run_id=run.id, page=0, now=NOW)
    assert run.invoices.filter(kind="CONSOLIDATED").get().total == Decimal(4)
    assert one.invoices.get().part_of is not None


def test_what_lacks_its_tax_is_consolidated_when_the_tax_is_there(queued):
    parent, _ = family()
    run = bill_run(parent.tenant, status="WAITING", inbox_watermark=0, auto_finalize=True)
    advance_run(run_id=run.id, now=NOW)
    ids = list(BillRunItem.objects.filter(run=run).values_list("id", flat=True))
    bill_pages._bill_together(run.__class__.objects.get(pk=run.pk), ids, now=NOW)
    Invoice.objects.update(tax_status="PENDING")
    advance_run(run_id=run.id, now=NOW)
    assert not Invoice.objects.filter(kind="CONSOLIDATED").exists()
    assert consolidate_waiting(now=NOW) == 0
    Invoice.objects.update(tax_status="SETTLED")
    assert consolidate_waiting(now=NOW) == 1
    assert Invoice.objects.get(kind="CONSOLIDATED").status == "OPEN"
    assert consolidate_waiting(now=NOW) == 0


def test_days_of_grace_are_those_of_the_whole(queued):
    parent, _ = family()
    BillingEntity.objects.update(grace_days=2)
    billed(parent)
    assert set(Invoice.objects.values_list("status", flat=True)) == {"DRAFT"}
    assert issue_due_drafts(now=datetime(2026, 4, 4, tzinfo=UTC)) == 1
    assert set(Invoice.objects.values_list("status", flat=True)) == {"OPEN"}
    assert len(numbers()) == 3


def test_it_is_voided_and_made_anew_as_a_whole(queued):
    parent, _ = family()
    billed(parent)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    part = whole.parts.first()
    with pytest.raises(Conflict) as refusal:
        void_invoice(invoice=part, reason="x", actor=ACTOR, now=NOW)
    assert refusal.value.code == "INVOICE_IS_A_PART"
    void_invoice(invoice=whole, reason="x", actor=ACTOR, now=NOW)
    assert set(Invoice.objects.values_list("status", flat=True)) == {"VOID"}
    fresh = regenerate_invoice(invoice=whole, actor=ACTOR, now=NOW, finalize=True)
    assert (fresh.kind, fresh.total, fresh.number) == ("CONSOLIDATED", 4, "INV-2026-0002")
    assert fresh.replaces == whole
    assert regenerate_invoice(invoice=whole, actor=ACTOR, now=NOW) == fresh
    assert fresh.parts.count() == 2
    assert broken_truths(tenant_id=parent.tenant_id, full=True) == {}


def test_a_draft_is_refreshed_part_by_part(queued):
    parent, _ = family()
    billed(parent, auto_finalize=False)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    fresh = refresh_invoice(invoice=whole, actor=ACTOR, now=NOW)
    assert (fresh.id, fresh.total, fresh.parts.count()) == (whole.id, Decimal(4), 2)
    assert fresh.digest == whole.digest
    assert broken_truths(tenant_id=parent.tenant_id, full=True) == {}


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_consolidate_a_run_once(queued):
    parent, _ = family(4)
    run = bill_run(parent.tenant, status="WAITING", inbox_watermark=0, auto_finalize=True)
    advance_run(run_id=run.id, now=NOW)
    run.refresh_from_db()
    ids = list(BillRunItem.objects.filter(run=run).values_list("id", flat=True))
    bill_pages._bill_together(run, ids, now=NOW)
    in_threads(8, lambda _: consolidate_run(run_id=run.id, now=NOW))
    assert Invoice.objects.filter(kind="CONSOLIDATED").count() == 1
    assert run.window_end == APRIL
    assert len(numbers()) == 5


def test_a_draft_with_two_periods_of_one_child_is_refreshed_too(queued):
    tenant = TenantFactory()
    parent = CustomerFactory(tenant=tenant, external_id="a-parent", name="Parent Inc.")
    periods = in_advance(tenant=tenant)[:2]
    Customer.objects.filter(pk=periods[0].subscription.customer_id).update(parent=parent)
    run = bill_run(tenant, status="COMPLETED")
    bill_periods(run=run, period_ids=[one.pk for one in periods], now=MAY)
    consolidate_run(run_id=run.pk, now=MAY)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    fresh = refresh_invoice(invoice=whole, actor=ACTOR, now=MAY)
    assert (fresh.total, fresh.parts.count()) == (whole.total, 3)
    assert broken_truths(tenant_id=tenant.pk, full=True) == {}


def test_what_was_made_anew_as_a_draft_stays_one(queued):
    parent, (period, _) = family(1, with_own=True)
    Customer.objects.filter(pk=period.subscription.customer_id).update(parent=None)
    CustomerFactory(tenant=parent.tenant, parent=parent)
    billed(parent)
    alone = Invoice.objects.get(customer=parent)
    void_invoice(invoice=alone, reason="x", actor=ACTOR, now=NOW)
    fresh = regenerate_invoice(invoice=alone, actor=ACTOR, now=NOW)
    assert consolidate_waiting(now=NOW) == 0
    fresh.refresh_from_db()
    assert (fresh.status, fresh.part_of) == ("DRAFT", None)
