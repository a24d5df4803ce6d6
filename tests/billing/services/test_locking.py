"""What is read for an invoice stays true until it is written, whoever else is at it."""

import threading
from decimal import Decimal

import pytest
from django.db import connection, transaction

from aforo.errors import Conflict
from billing.invariants import broken_truths
from billing.models import CouponUse, Invoice
from billing.services import invoices
from billing.services.invoices import bill_periods
from billing.services.openings import draft_openings
from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from catalog.models import SubscriptionPeriod
from metering.ingest import totals
from tests.billing.build import APRIL, bill_run, tenant_entity
from tests.billing.metered import meter
from tests.billing.services.test_facts import subscribed
from tests.billing.services.test_openings import ACTOR, MAY, bill, fees
from tests.factories import (
    MONTH_START,
    ContractFactory,
    CouponFactory,
    CouponRedemptionFactory,
    CustomerFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)
from tests.threads import in_threads
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def with_fees(months=3, customer=None, **fees):
    """Periods of a subscription that counts nothing: no total of theirs is there to be locked."""
    tenant = customer.tenant if customer else TenantFactory()
    version = RatePlanVersionFactory(tenant=tenant, published=True, base_fee=Decimal(31), **fees)
    subscription = SubscriptionFactory(
        tenant=tenant,
        billing_entity=tenant_entity(tenant),
        versions=[version],
        months=months,
        **({"customer": customer} if customer else {}),
    )
    return list(subscription.periods.order_by("start_at"))


def somebody_waits():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]


def meanwhile(first, second):
    """`first`, and before it is committed `second` in another thread: what that gave, or raised."""
    said = []

    def other():
        try:
            said.append(second())
        except Conflict as error:
            said.append(error.code)
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        first()
        thread.start()
        assert eventually(somebody_waits)
    thread.join(timeout=30)
    return said[0]


def test_a_fee_that_a_void_takes_back_meanwhile_is_asked_for():
    march, april, _ = with_fees(base_fee_timing="ADVANCE")
    bill([march], now=MONTH_START)
    (invoice,) = bill([march], now=APRIL)

    def void():
        void_invoice(invoice=invoice, reason="wrong", actor=ACTOR, now=APRIL)

    (second,) = meanwhile(void, lambda: bill([april], now=MAY))
    assert [one[:2] for one in fees(second)] == [("CHARGE", Decimal(31)), ("CHARGE", Decimal(31))]
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}


def test_what_is_built_upon_meanwhile_is_not_voided():
    march, april, _ = with_fees(base_fee_timing="ADVANCE")
    bill([march], now=MONTH_START)
    (invoice,) = bill([march], now=APRIL)

    def void():
        return void_invoice(invoice=invoice, reason="wrong", actor=ACTOR, now=APRIL)

    assert meanwhile(lambda: bill([april], now=MAY), void) == "INVOICE_BUILT_UPON"


def test_runs_of_two_periods_at_once_ask_for_a_fee_once():
    march, april, _ = with_fees(base_fee_timing="ADVANCE")
    bill([march], now=MONTH_START)
    meanwhile(lambda: bill([april], now=MAY), lambda: bill([march], now=MAY))
    lines = [fee for one in Invoice.objects.all() for fee in fees(one)]
    assert sum(amount for _, amount, _ in lines) == 3 * 31


@pytest.mark.parametrize("count", [1, 8])
def test_eight_runs_at_once_spend_a_coupon_for_one_invoice_once(count):
    """Of as many subscriptions of one customer: eight periods of each, or one."""
    tenant = TenantFactory()
    customer = CustomerFactory(tenant=tenant)
    periods = [with_fees(8 // count, customer) for _ in range(count)]
    chosen = [period for found in periods for period in found]
    coupon = CouponFactory(tenant=tenant)
    CouponRedemptionFactory(coupon=coupon, customer=customer)
    runs = [bill_run(tenant, status="COMPLETED", auto_finalize=True) for _ in chosen]
    later = chosen[7].end_at

    def work(index):
        return bill_periods(run=runs[index], period_ids=[chosen[index].id], now=later)

    assert in_threads(8, work) == [1] * 8
    assert CouponUse.objects.count() == 1
    assert broken_truths(tenant_id=tenant.id, full=True) == {}


def test_who_regenerates_waits_for_a_run_that_bills_what_comes_after():
    """Or the minimum of a term is asked for by the last invoice and by the one made again."""
    march, april = with_fees(months=2)
    agreed = ContractFactory(
        tenant=march.tenant,
        customer=march.subscription.customer,
        start_at=MONTH_START,
        end_at=MAY,
        minimum_spend=100,
        phases=[{}],
        agreed=True,
    )
    SubscriptionPeriod.objects.update(contract_phase=agreed.phases.get())
    (first,) = bill([march], now=APRIL)
    void_invoice(invoice=first, reason="wrong", actor=ACTOR, now=APRIL)

    said = meanwhile(
        lambda: bill([april], now=MAY),
        lambda: regenerate_invoice(invoice=first, actor=ACTOR, now=MAY, finalize=True),
    )

    assert said == "INVOICE_BUILT_UPON"
    assert [str(one.total) for one in Invoice.objects.exclude(status="VOID")] == ["100.0000"]


def test_openings_and_invoices_of_a_chunk_lock_totals_in_one_order(monkeypatch):
    """A drain that comes between them holds none that the run still wants."""
    (march, *_), (unit,) = subscribed({}, months=1)
    (april, *_), (other,) = subscribed(
        {}, tenant=march.tenant, start_at=APRIL, base_fee=31, base_fee_timing="ADVANCE"
    )
    ids = [meter(march, unit, [1]).pk, meter(april, other, [1]).pk]
    assert ids == sorted(ids)
    drained = []

    def drain():
        try:
            with transaction.atomic():
                drained.extend(totals.lock(ids))
        finally:
            connection.close()

    def openings(*args, **fields):
        made = draft_openings(*args, **fields)
        assert len(made) == 1
        thread.start()
        assert eventually(lambda: drained or somebody_waits())
        return made

    thread = threading.Thread(target=drain)
    monkeypatch.setattr(invoices, "draft_openings", openings)
    bill([march, april], now=APRIL.replace(day=2))
    thread.join(timeout=30)
    assert len(drained) == len(ids)
