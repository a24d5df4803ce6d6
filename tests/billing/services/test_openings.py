from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from billing.invariants import broken_truths
from billing.models import Invoice
from billing.selectors.periods import openable_periods, unbilled_periods
from billing.services.closing import close_periods
from billing.services.invoices import bill_periods
from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from tests.billing.build import APRIL, bill_run, tenant_entity
from tests.factories import (
    MONTH_START,
    BillableUnitFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
ACTOR = Actor.system("tests")


def in_advance(months=3, tenant=None, **fees):
    tenant = tenant or TenantFactory()
    unit = BillableUnitFactory(tenant=tenant)
    version = RatePlanVersionFactory(
        tenant=tenant,
        prices={unit: {"model": "PER_UNIT", "rate": "1"}},
        **{
            "published": True,
            "base_fee": Decimal(31),
            "setup_fee": Decimal(100),
            "base_fee_timing": "ADVANCE",
        }
        | fees,
    )
    subscription = SubscriptionFactory(
        tenant=tenant, billing_entity=tenant_entity(tenant), versions=[version], months=months
    )
    return list(subscription.periods.order_by("start_at"))


def bill(periods, *, now, **fields):
    run = bill_run(periods[0].tenant, status="COMPLETED", auto_finalize=True, **fields)
    bill_periods(run=run, period_ids=[one.id for one in periods], now=now)
    return list(run.invoices.order_by("number"))


def fees(invoice):
    lines = invoice.lines.exclude(amount=0).order_by("position")
    return [(line.type, line.amount, line.covers_start_at) for line in lines]


def test_what_is_due_at_the_start_is_on_an_invoice_of_its_own():
    march, *_ = in_advance()
    (opening,) = bill([march], now=MONTH_START)
    assert (opening.kind, opening.status, opening.total) == ("OPENING", "OPEN", Decimal(131))
    assert sorted(fees(opening)) == [
        ("CHARGE", Decimal(31), MONTH_START),
        ("SETUP_FEE", Decimal(100), None),
    ]
    assert bill([march], now=MONTH_START) == []
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}


def test_the_invoice_of_a_period_asks_for_the_next_and_for_nothing_twice():
    march, april, _ = in_advance()
    bill([march], now=MONTH_START)
    (invoice,) = bill([march], now=APRIL)
    assert (invoice.kind, fees(invoice)) == ("PERIOD", [("CHARGE", Decimal(31), APRIL)])
    (second,) = bill([april], now=MAY)
    assert fees(second) == [("CHARGE", Decimal(31), MAY)]


def test_periods_that_are_billed_together_ask_for_each_fee_once():
    march, april, may = in_advance()
    opening, first, second = bill([march, april, may], now=MAY)
    assert [one.kind for one in (opening, first, second)] == ["OPENING", "PERIOD", "PERIOD"]
    asked = [line for one in (opening, first, second) for line in fees(one)]
    covered = [start for kind, _, start in asked if kind == "CHARGE"]
    assert covered == [MONTH_START, APRIL, MAY]
    assert sum(one.total for one in (opening, first, second)) == Decimal(193)
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}


def test_plans_in_arrears_have_no_opening():
    march, *_ = in_advance(base_fee_timing="ARREARS")
    assert bill([march], now=MONTH_START) == []
    (invoice,) = bill([march], now=APRIL)
    assert (invoice.kind, invoice.total) == ("PERIOD", Decimal(131))


def test_a_trial_is_not_invoiced_and_the_period_after_it_has_the_opening():
    march, april, _ = in_advance()
    type(march).objects.filter(pk=march.pk).update(kind="TRIAL")
    assert not unbilled_periods(tenant_id=march.tenant_id, until=APRIL).exists()
    assert bill([march, april], now=APRIL - timedelta(seconds=1)) == []
    (opening,) = bill([march, april], now=APRIL)
    assert (opening.kind, opening.period) == ("OPENING", april)


def test_what_begins_again_after_a_pause_is_opened_without_a_setup_fee():
    march, april, may = in_advance()
    bill([march], now=MONTH_START)
    type(april).objects.filter(pk=april.pk).delete()
    (invoice,) = bill([march], now=APRIL)
    assert fees(invoice) == []
    (opening,) = bill([may], now=MAY)
    assert (opening.kind, fees(opening)) == ("OPENING", [("CHARGE", Decimal(31), MAY)])


def test_beat_opens_a_subscription_once(queued):
    march, *_ = in_advance()
    settled = MONTH_START + march.tenant.settlement_delay
    assert close_periods(now=settled - timedelta(seconds=1)) == 0
    assert close_periods(now=settled) == 1
    assert not Invoice.objects.exists()
    bill([march], now=settled)
    assert not openable_periods(tenant_id=march.tenant_id, until=settled).exists()


def test_a_void_opening_is_made_again_by_hand_alone():
    march, *_ = in_advance()
    (opening,) = bill([march], now=MONTH_START)
    void_invoice(invoice=opening, reason="wrong", actor=ACTOR, now=MONTH_START)
    assert bill([march], now=MONTH_START) == []
    fresh = regenerate_invoice(invoice=opening, actor=ACTOR, now=MONTH_START)
    assert (fresh.kind, fresh.total, fresh.replaces) == ("OPENING", Decimal(131), opening)


def test_voided_from_the_last_one_back_all_are_made_again_from_the_first_on():
    """An opening that was made anew is younger than the invoice of its period, not built on it."""
    march, *_ = in_advance(discount_percent=10)
    made = [*bill([march], now=MONTH_START), *bill([march], now=APRIL)]
    for one in reversed(made):
        void_invoice(invoice=one, reason="wrong", actor=ACTOR, now=APRIL)
    again = [regenerate_invoice(invoice=one, actor=ACTOR, now=APRIL, finalize=True) for one in made]
    assert [one.total for one in again] == [one.total for one in made]
    with pytest.raises(Conflict):
        void_invoice(invoice=again[0], reason="wrong", actor=ACTOR, now=APRIL)
    assert broken_truths(tenant_id=march.tenant_id, full=True) == {}
