from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import Invoice
from billing.selectors.periods import unbilled_periods
from billing.services.closing import close_periods
from billing.services.invoices import bill_periods, finalize_invoice
from billing.services.regenerating import refresh_invoice, regenerate_invoice
from billing.services.voiding import void_invoice
from metering.models import LateTotal, RunningTotal
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.billing.metered import meter
from tests.billing.test_late_usage import (
    MAY,
    PER_CALL,
    accept_all,
    adjusted,
    bill,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)
from tests.threads import in_threads

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
ACTOR = Actor.system("tests")
NOW = datetime(2026, 4, 2, tzinfo=UTC)
WHY = {"reason": "wrong address", "actor": ACTOR, "now": NOW}
AGAIN = {"actor": ACTOR, "now": NOW}


def billed(*, auto_finalize=True, prices=({"model": "PER_UNIT", "rate": "1"},)):
    period, (unit,) = priced_subscription(*prices)
    meter(period, unit, [1, 1, 1])
    bill_periods(
        run=bill_run(period.tenant, auto_finalize=auto_finalize, status="COMPLETED"),
        period_ids=[period.id],
        now=NOW,
    )
    return Invoice.objects.get(period=period)


def holds(tenant_id):
    assert broken_truths(tenant_id=tenant_id, full=True) == {}


@pytest.mark.django_db
@pytest.mark.parametrize("auto_finalize", [True, False])
def test_a_void_invoice_keeps_its_number_and_gives_the_watermark_back(auto_finalize):
    invoice = billed(auto_finalize=auto_finalize)
    void = void_invoice(invoice=invoice, **WHY)
    assert (void.status, void.number) == ("VOID", invoice.number)
    assert RunningTotal.objects.get().billed_position is None
    entry = AuditEntry.objects.get(action="INVOICE_VOIDED")
    assert (entry.reason, entry.target_id) == ("wrong address", str(invoice.id))
    holds(invoice.tenant_id)


@pytest.mark.django_db
def test_voiding_again_changes_nothing_and_without_a_reason_it_is_refused():
    invoice = billed()
    with pytest.raises(Refused):
        void_invoice(invoice=invoice, reason="  ", actor=ACTOR, now=NOW)
    assert Invoice.objects.get().status == "OPEN"
    void_invoice(invoice=invoice, **WHY)
    void_invoice(invoice=invoice, **WHY)
    assert AuditEntry.objects.filter(action="INVOICE_VOIDED").count() == 1


@pytest.mark.django_db
def test_a_paid_invoice_is_not_voided():
    invoice = billed()
    Invoice.objects.update(status="PAID")
    with pytest.raises(Conflict) as refusal:
        void_invoice(invoice=invoice, **WHY)
    assert refusal.value.code == "INVOICE_TRANSITION"
    assert RunningTotal.objects.get().billed_position == 3


@pytest.mark.django_db
def test_no_run_bills_by_itself_what_was_voided(queued):
    invoice = billed()
    void_invoice(invoice=invoice, **WHY)
    assert not unbilled_periods(tenant_id=invoice.tenant_id).exists()
    assert close_periods(now=MAY) == 0
    assert bill_periods(run=invoice.bill_run, period_ids=[invoice.period_id], now=NOW) == 0


@pytest.mark.django_db
def test_a_regenerated_invoice_says_the_same_under_the_next_number():
    void = void_invoice(invoice=billed(), **WHY)
    fresh = regenerate_invoice(invoice=void, finalize=True, **AGAIN)
    assert (fresh.status, fresh.number, fresh.total) == ("OPEN", "INV-2026-0002", Decimal(3))
    assert fresh.replaces == void
    assert RunningTotal.objects.get().billed_position == 3
    assert regenerate_invoice(invoice=void, **AGAIN) == fresh
    assert Invoice.objects.count() == 2
    holds(void.tenant_id)


@pytest.mark.django_db
def test_what_replaced_a_void_invoice_can_be_voided_and_replaced_too():
    first = void_invoice(invoice=billed(), **WHY)
    second = void_invoice(invoice=regenerate_invoice(invoice=first, **AGAIN), **WHY)
    third = regenerate_invoice(invoice=first, **AGAIN)
    assert (third.replaces, third.status) == (second, "DRAFT")
    assert regenerate_invoice(invoice=second, **AGAIN) == third
    holds(first.tenant_id)


@pytest.mark.django_db
def test_only_a_void_invoice_is_regenerated():
    with pytest.raises(Conflict) as refusal:
        regenerate_invoice(invoice=billed(), **AGAIN)
    assert refusal.value.code == "INVOICE_NOT_VOID"


def test_usage_counted_while_the_invoice_was_void_is_on_the_new_one(seller, queued):
    sell(seller, PER_CALL)
    seller.count(things(1, 5))
    (invoice,) = bill(seller.tenant, APRIL)
    void_invoice(invoice=invoice, **WHY)
    seller.count(things(2, 5))
    fresh = regenerate_invoice(invoice=invoice, **AGAIN)
    assert (invoice.total, fresh.total) == (Decimal("0.1"), Decimal("0.2"))
    holds(seller.tenant.id)


def test_an_invoice_that_a_later_one_has_built_on_stands(seller, queued):
    sell(seller, PER_CALL, months=3)
    seller.count(things(1, 5))
    (march,) = bill(seller.tenant, APRIL)
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    with pytest.raises(Conflict) as refusal:
        void_invoice(invoice=march, **WHY)
    assert refusal.value.code == "INVOICE_BUILT_UPON"
    assert Invoice.objects.filter(status="VOID").count() == 0
    void_invoice(invoice=april, **WHY)
    assert void_invoice(invoice=march, **WHY).status == "VOID"
    holds(seller.tenant.id)


def test_late_usage_of_a_void_invoice_is_late_again_and_billed_exactly_once(seller, queued):
    sell(seller, PER_CALL, months=3)
    seller.count(things(1, 5))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 7), things(3, 8))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY, start=APRIL)
    assert adjusted(april).get().amount == Decimal("0.30")
    assert not LateTotal.objects.exists()
    void_invoice(invoice=april, **WHY | {"now": MAY})
    late = RunningTotal.objects.get(pk=LateTotal.objects.get().running_total_id)
    assert (late.billed_position, late.position) == (1, 3)
    assert (late.billed_quantity, late.billed_revenue) == (Decimal(5), Decimal("0.1"))
    holds(seller.tenant.id)
    fresh = regenerate_invoice(invoice=april, actor=ACTOR, now=MAY)
    assert adjusted(fresh).get().amount == Decimal("0.30")
    assert not LateTotal.objects.exists()
    holds(seller.tenant.id)


def test_a_refreshed_draft_takes_what_was_accepted_since(seller, queued):
    sell(seller, PER_CALL)
    seller.count(things(1, 5))
    (invoice,) = bill(seller.tenant, APRIL)
    draft = void_invoice(invoice=invoice, **WHY)
    draft = regenerate_invoice(invoice=draft, **AGAIN)
    seller.count(things(2, 5))
    accept_all(seller.tenant)
    fresh = refresh_invoice(invoice=draft, **AGAIN)
    assert (fresh.id, fresh.replaces, fresh.status) == (draft.id, invoice, "DRAFT")
    assert (draft.total, fresh.total) == (Decimal("0.1"), Decimal("0.2"))
    assert RunningTotal.objects.get(event_count__gt=0).billed_position == 2
    assert not LateTotal.objects.exists()
    holds(seller.tenant.id)
    with pytest.raises(Conflict) as refusal:
        refresh_invoice(invoice=finalize_invoice(invoice=fresh, **AGAIN), **AGAIN)
    assert refusal.value.code == "INVOICE_NOT_A_DRAFT"


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_void_and_regenerate_once():
    invoice = billed()
    in_threads(8, lambda _: void_invoice(invoice=invoice, **WHY))
    assert AuditEntry.objects.filter(action="INVOICE_VOIDED").count() == 1
    fresh = in_threads(8, lambda _: regenerate_invoice(invoice=invoice, **AGAIN).pk)
    assert len(set(fresh)) == 1
    assert Invoice.objects.count() == 2
    holds(invoice.tenant_id)


@pytest.mark.django_db(transaction=True)
def test_numbers_have_no_gaps_while_eight_issue_void_and_regenerate():
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    tenant, version = period.tenant, period.subscription.plans.get().version
    periods = [period] + [priced_subscription(tenant=tenant, version=version)[0] for _ in range(11)]
    run = bill_run(tenant, status="COMPLETED")
    bill_periods(run=run, period_ids=[one.id for one in periods], now=NOW)
    drafts = list(Invoice.objects.order_by("id"))

    def work(index):
        for draft in drafts[index % 4 * 3 : index % 4 * 3 + 3]:
            finalize_invoice(invoice=draft, **AGAIN)
        for draft in drafts[index % 4 * 3 : index % 4 * 3 + 3]:
            void = void_invoice(invoice=draft, **WHY)
            regenerate_invoice(invoice=void, finalize=True, **AGAIN)

    def work_safely(index):
        try:
            work(index)
        except Conflict as error:  # the twin was quicker: the draft is void already
            assert error.code == "INVOICE_VOID"  # noqa: PT017 - told by its code

    in_threads(8, work_safely)
    numbers = sorted(filter(None, Invoice.objects.values_list("number", flat=True)))
    assert numbers == [f"INV-2026-{number:04d}" for number in range(1, len(numbers) + 1)]
    assert Invoice.objects.exclude(status="VOID").count() == 12
    holds(tenant.id)
