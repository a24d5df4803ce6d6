from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from aforo.errors import Refused
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import Invoice
from billing.services.previews import preview_invoice
from billing.services.progress import invoice_now, invoice_thresholds
from billing.services.voiding import void_invoice
from billing.verification import verify_invoice
from catalog.models import Subscription
from metering.models import RunningTotal
from tests.billing.build import APRIL
from tests.billing.test_late_usage import bill, fresh_process, months, no_wakes, sell, seller
from tests.metering.events import event
from tests.threads import in_threads

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
MID_MARCH = APRIL - timedelta(days=16)
ACTOR = Actor.system("tests")
GRADUATED = {
    "model": "GRADUATED",
    "billZeroTier": True,
    "tiers": [
        {"tierEnd": 10, "unitPrice": "0.333", "flatFee": "1"},
        {"tierEnd": 25, "unitPrice": "0.207"},
        {"tierEnd": -1, "unitPrice": "0.015", "flatFee": "0.5"},
    ],
}
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": "7", "rate": "0.125"}
PER_CALL = {"model": "PER_UNIT", "rate": "0.02"}
MARCH = "2026-03-10T00:00:00Z"


def used(number, quantity):
    return event(
        number, quantity=quantity, customerId="buyer", metricName="things", occurredAt=MARCH
    )


def ask(subscription, now=MID_MARCH):
    return invoice_now(subscription=subscription, actor=ACTOR, now=now)


def sums(invoices):
    return sum((one.total for one in invoices), Decimal(0))


def test_usage_so_far_is_asked_for_and_taken_off_again(seller, queued):
    subscription = sell(seller, PER_CALL, fees={"base_fee": Decimal(49)})
    seller.count(used(1, 100))
    first = ask(subscription)
    assert (first.kind, first.total, first.status) == ("PROGRESS", Decimal(2), "OPEN")
    seller.count(used(2, 50))
    second = ask(subscription, now=MID_MARCH + timedelta(days=1))
    assert second.total == Decimal(1)
    seller.count(used(3, 25))
    (last,) = bill(seller.tenant, APRIL)
    assert last.total == Decimal("49.50")
    taken_off = last.lines.filter(type="CREDIT").order_by("position")
    assert [line.amount for line in taken_off] == [Decimal(-2), Decimal(-1)]
    assert first.number in taken_off[0].description
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}
    for invoice in (first, second, last):
        assert verify_invoice(invoice).broken == ()


def test_a_progress_invoice_leaves_the_watermark_alone(seller, queued):
    subscription = sell(seller, PER_CALL)
    seller.count(used(1, 100))
    ask(subscription)
    assert RunningTotal.objects.get().billed_position is None
    seller.count(used(2, 1))
    assert RunningTotal.objects.get().quantity == 101


def test_without_new_usage_there_is_nothing_to_ask_for(seller, queued):
    subscription = sell(seller, PER_CALL)
    with pytest.raises(Refused) as refusal:
        ask(subscription)
    assert refusal.value.code == "NOTHING_TO_INVOICE"
    seller.count(used(1, 100))
    ask(subscription)
    with pytest.raises(Refused):
        ask(subscription)
    assert Invoice.objects.count() == 1


def test_a_void_progress_invoice_was_never_asked_for(seller, queued):
    subscription = sell(seller, PER_CALL)
    seller.count(used(1, 100))
    first = ask(subscription)
    void_invoice(invoice=first, reason="wrong", actor=ACTOR, now=MID_MARCH)
    assert ask(subscription, now=MID_MARCH + timedelta(hours=1)).total == Decimal(2)


FEES = {
    "base_fee": Decimal("12.34"),
    "minimum_spend": Decimal(20),
    "maximum_spend": Decimal(30),
    "discount_percent": Decimal("12.5"),
    "discount_amount": Decimal(1),
}


@pytest.mark.parametrize("terms", [GRADUATED, QUOTA])
def test_the_parts_sum_to_the_single_invoice(seller, queued, terms):
    """By the drain and the run; tests/billing/pipeline/test_usage_so_far.py cuts anywhere."""
    subscription = sell(seller, terms, fees=FEES)
    made = []
    for number, quantity in enumerate((6, 3, 0, 30)):
        seller.count(used(number, quantity))
        made += asked_if_any(subscription, MID_MARCH + timedelta(hours=number))
    seller.count(used(9, 1))
    single = preview_of_all(subscription, made)
    (last,) = bill(seller.tenant, APRIL)
    assert sums([*made, last]) == single
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}


def asked_if_any(subscription, now):
    try:
        return [ask(subscription, now=now)]
    except Refused:
        return []


def preview_of_all(subscription, made):
    """What one invoice of everything would come to: the preview with no part asked for."""
    sid = transaction.savepoint()
    for one in reversed(made):
        void_invoice(invoice=one, reason="to compare", actor=ACTOR, now=MID_MARCH)
    total = preview_invoice(subscription=subscription, now=MID_MARCH).result.draft.total()
    transaction.savepoint_rollback(sid)
    return total


def test_beat_invoices_usage_that_is_worth_the_threshold(seller, queued):
    subscription = sell(seller, PER_CALL)
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=MID_MARCH)
    Subscription.objects.filter(pk=subscription.pk).update(invoice_threshold=Decimal(2))
    seller.count(used(1, 99))
    assert invoice_thresholds(now=MID_MARCH) == 0
    seller.count(used(2, 1))
    assert invoice_thresholds(now=MID_MARCH) == 1
    assert invoice_thresholds(now=MID_MARCH) == 0
    seller.count(used(3, 199))
    assert invoice_thresholds(now=MID_MARCH) == 1
    assert [str(one.total) for one in Invoice.objects.order_by("number")] == ["2.0000", "3.9800"]


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_ask_for_the_same_usage_once(seller, queued):
    subscription = sell(seller, PER_CALL)
    seller.count(used(1, 100))

    def work(_):
        try:
            return ask(subscription).total
        except Refused as refusal:
            return refusal.code

    told = in_threads(8, work)
    assert told.count("NOTHING_TO_INVOICE") == 7
    assert sums(Invoice.objects.all()) == Decimal(2)
