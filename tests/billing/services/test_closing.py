from datetime import UTC, datetime, timedelta

import pytest

from billing.models import BillRun, BillRunItem
from billing.services.closing import close_periods
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.factories import SandboxFactory, TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
PER_CALL = {"model": "PER_UNIT", "rate": "1"}
HOUR = timedelta(hours=1)


def test_a_period_is_closed_when_its_settlement_delay_is_over(queued):
    priced_subscription(PER_CALL, tenant=TenantFactory(settlement_delay=HOUR))
    assert close_periods(now=APRIL + HOUR - timedelta(microseconds=1)) == 0
    assert close_periods(now=APRIL + HOUR) == 1
    run = BillRun.objects.get()
    assert (run.status, run.auto_finalize, run.window_end) == ("WAITING", True, APRIL)


def test_nothing_due_is_quiet(queued):
    TenantFactory()
    assert close_periods(now=APRIL) == 0
    assert not BillRun.objects.exists()


def test_closing_waits_for_an_unfinished_run(queued):
    period, _ = priced_subscription(PER_CALL)
    bill_run(period.tenant)
    assert close_periods(now=APRIL + HOUR) == 0
    assert BillRun.objects.count() == 1


def test_closing_twice_starts_one_run(queued):
    priced_subscription(PER_CALL)
    assert [close_periods(now=APRIL + HOUR), close_periods(now=APRIL + HOUR)] == [1, 0]


def test_a_sandbox_closes_by_its_own_clock(queued):
    sandbox = SandboxFactory(clock_frozen_at=APRIL, settlement_delay=timedelta(0))
    priced_subscription(PER_CALL, tenant=sandbox)
    assert close_periods(now=datetime(2030, 1, 1, tzinfo=UTC)) == 1


def test_a_window_reaches_from_the_first_to_the_last_unbilled_end(queued):
    period, _ = priced_subscription(PER_CALL)
    tenant, version = period.tenant, period.subscription.plans.get().version
    early, _ = priced_subscription(
        tenant=tenant, version=version, start_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    close_periods(now=APRIL + HOUR)
    run = BillRun.objects.get()
    assert run.window_start == early.end_at - timedelta(microseconds=1)
    assert run.window_end == APRIL


def test_what_has_failed_is_tried_again_after_an_hour(queued):
    period, _ = priced_subscription(PER_CALL)
    run = bill_run(period.tenant, status="FAILED")
    BillRunItem.objects.create(
        tenant=period.tenant, run=run, period=period, page=0, status="FAILED"
    )
    BillRun.objects.update(created_at=APRIL + HOUR)
    assert close_periods(now=APRIL + HOUR + timedelta(minutes=59)) == 0
    assert close_periods(now=APRIL + HOUR + timedelta(minutes=60)) == 1


def test_periods_that_a_cancelled_subscription_did_not_live_to_see_are_nobodys(queued):
    period, _ = priced_subscription(PER_CALL)
    subscription = period.subscription
    subscription.start_at, subscription.end_at = period.start_at - HOUR, period.start_at
    subscription.save()
    assert close_periods(now=APRIL + HOUR) == 0


@pytest.mark.django_db(transaction=True)
def test_eight_threads_start_one_run(queued):
    priced_subscription(PER_CALL)
    assert sum(in_threads(8, lambda _: close_periods(now=APRIL + HOUR))) == 1
    assert BillRun.objects.count() == 1
