"""Late usage of a dimension that nobody had used when its period was billed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from billing.services.invoices import bill_periods
from billing.services.regenerating import regenerate_invoice
from billing.services.voiding import void_invoice
from catalog.models import SubscriptionPeriod
from metering.models import HeldEvent, LateTotal, RunningTotal
from tests.billing.build import APRIL
from tests.billing.test_late_usage import (
    ACTOR,
    MAY,
    PER_CALL,
    accept_all,
    adjusted,
    assert_all_is_proven,
    bill,
    end_subscription,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)
from tests.factories import BillRunFactory
from tests.waiting import eventually

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
BY_REGION = PER_CALL | {"groupBy": ["region"]}
NEW = {"metadata": {"region": "eu"}}


def test_events_of_a_new_dimension_wait_for_a_decision_like_others(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    bill(seller.tenant, APRIL)
    seller.count(things(2, 5, **NEW))
    assert HeldEvent.objects.count() == 1
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert [str(line.amount) for line in adjusted(april)] == ["0.1000"]
    assert_all_is_proven(seller)


def test_they_are_billed_when_their_subscription_is_over(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    end_subscription(seller)
    bill(seller.tenant, APRIL)
    seller.count(things(2, 5, **NEW))
    accept_all(seller.tenant)
    (adjustment,) = bill(seller.tenant, MAY)
    assert [str(line.amount) for line in adjusted(adjustment)] == ["0.1000"]
    assert_all_is_proven(seller)


def test_void_and_made_anew_they_are_a_line_of_their_period(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    (march,) = bill(seller.tenant, APRIL)
    seller.count(things(2, 5, **NEW))
    accept_all(seller.tenant)
    void_invoice(invoice=march, reason="wrong", actor=ACTOR, now=APRIL)
    fresh = regenerate_invoice(invoice=march, actor=ACTOR, now=APRIL, finalize=True)
    assert str(fresh.total) == "0.3000"
    assert not LateTotal.objects.exists()
    assert_all_is_proven(seller)


def test_after_a_void_events_of_a_new_dimension_count_like_others(seller, queued):
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    (march,) = bill(seller.tenant, APRIL)
    void_invoice(invoice=march, reason="wrong", actor=ACTOR, now=APRIL)
    totals = RunningTotal.objects.filter(period_id=march.period_id)
    assert set(totals.values_list("billed_position", flat=True)) == {None}
    seller.count(things(2, 5, **NEW), things(3, 1, metadata={"region": "us"}))
    assert not HeldEvent.objects.exists()
    fresh = regenerate_invoice(invoice=march, actor=ACTOR, now=APRIL, finalize=True)
    assert str(fresh.total) == "0.3200"
    assert_all_is_proven(seller)


def meanwhile(act):
    """Do `act` in a thread that then waits for our locks, or is done; a way to see it end."""
    pool = ThreadPoolExecutor(1)

    def run():
        try:
            return act()
        finally:
            connection.close()

    future = pool.submit(run)
    assert eventually(lambda: future.done() or _is_waiting())
    return future


def _is_waiting():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] > 0


@pytest.mark.django_db(transaction=True)
def test_a_dimension_that_appears_while_its_period_is_billed_is_billed(seller, queued):
    """Of a subscription that is over, nothing would come for it later: whoever comes first."""
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    end_subscription(seller)
    period = SubscriptionPeriod.objects.get(subscription__customer__external_id="buyer")
    run = BillRunFactory(tenant=seller.tenant, auto_finalize=True)
    with transaction.atomic():  # a drain that has not committed
        seller.count(things(2, 5, **NEW))
        billed = meanwhile(lambda: bill_periods(run=run, period_ids=[period.id], now=APRIL))
    assert billed.result() == 1
    (march,) = run.invoices.all()
    assert str(march.total) == "0.3000"
    void_invoice(invoice=march, reason="once more", actor=ACTOR, now=APRIL)
    with transaction.atomic():  # a bill run that has not
        fresh = regenerate_invoice(invoice=march, actor=ACTOR, now=APRIL, finalize=True)
        counted = meanwhile(lambda: seller.count(things(3, 7, metadata={"region": "ap"})))
    counted.result()
    assert str(fresh.total) == "0.3000"
    assert HeldEvent.objects.count() == 1
    accept_all(seller.tenant)
    (adjustment,) = bill(seller.tenant, MAY)
    assert [str(line.amount) for line in adjusted(adjustment)] == ["0.1400"]
    assert_all_is_proven(seller)


@pytest.mark.django_db(transaction=True)
def test_a_dimension_that_appears_while_its_period_is_voided_is_not_late(seller, queued):
    """Or its total has a watermark in a period that is not billed: what follows would be held."""
    sell(seller, BY_REGION)
    seller.count(things(1, 10, metadata={"region": "us"}))
    (march,) = bill(seller.tenant, APRIL)
    with transaction.atomic():  # a drain that has not committed
        seller.count(things(2, 5, **NEW))
        voided = meanwhile(
            lambda: void_invoice(invoice=march, reason="wrong", actor=ACTOR, now=APRIL)
        )
    voided.result()
    totals = RunningTotal.objects.filter(period_id=march.period_id)
    assert set(totals.values_list("billed_position", flat=True)) == {None}
    seller.count(things(3, 5, **NEW))
    assert HeldEvent.objects.count() == 1  # it came before the void
    fresh = regenerate_invoice(invoice=march, actor=ACTOR, now=APRIL, finalize=True)
    assert str(fresh.total) == "0.3000"
