from datetime import timedelta
from uuid import UUID

import pytest

from aforo.errors import Conflict
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, BillRunItem
from billing.services import bill_pages, bill_runs
from billing.services.bill_runs import create_run, execute_run
from billing.services.run_repairs import EXPIRE_AFTER, cancel_run, expire_runs, retry_run
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.factories import MONTH_START, TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("tests")


def created(tenant=None):
    return create_run(
        tenant=tenant or TenantFactory(),
        window_start=MONTH_START,
        window_end=APRIL,
        actor=ACTOR,
        now=APRIL,
    )


def test_a_run_that_nobody_executes_expires_and_frees_its_window(queued):
    run = created()
    assert expire_runs(now=APRIL + EXPIRE_AFTER - timedelta(seconds=1)) == 0
    with pytest.raises(Conflict):
        created(run.tenant)
    assert expire_runs(now=APRIL + EXPIRE_AFTER) == 1
    run.refresh_from_db()
    assert (run.status, run.completed_at) == ("CANCELLED", APRIL + EXPIRE_AFTER)
    assert AuditEntry.objects.filter(action="BILL_RUN_CANCELLED").count() == 1
    created(run.tenant)


def test_an_executed_run_is_neither_cancelled_nor_expired(queued):
    run = execute_run(run=created(), actor=ACTOR, now=APRIL)
    with pytest.raises(Conflict) as refusal:
        cancel_run(run=run, actor=ACTOR, now=APRIL)
    assert refusal.value.code == "BILL_RUN_STARTED"
    assert expire_runs(now=APRIL + EXPIRE_AFTER) == 0


def test_a_cancelled_run_is_never_executed(queued):
    run = cancel_run(run=created(), actor=ACTOR, now=APRIL)
    assert execute_run(run=run, actor=ACTOR, now=APRIL).status == "CANCELLED"
    assert queued == []


def test_what_failed_is_billed_by_the_retry(queued):
    period, _ = priced_subscription({"model": "FLAT_RATE", "flatRate": "5"})
    run = bill_run(period.tenant, status="FAILED", completed_at=APRIL, auto_finalize=True)
    BillRunItem.objects.create(
        tenant=period.tenant, run=run, period=period, page=3, status="FAILED", error="no"
    )
    retry_run(run=run, actor=ACTOR, now=APRIL)
    bill_pages.bill_page(run_id=run.id, page=3, now=APRIL)
    run.refresh_from_db()
    assert (run.status, run.invoices.get().status) == ("COMPLETED", "OPEN")
    assert retry_run(run=run, actor=ACTOR, now=APRIL).status == "COMPLETED"


def test_all_periods_of_a_customer_are_on_one_page(monkeypatch):
    monkeypatch.setattr(bill_runs, "PAGE", 2)
    one, two, three = (UUID(int=number) for number in (101, 102, 103))
    customers = [one, two, two, two, three]
    rows = {UUID(int=number): customer for number, customer in enumerate(customers)}
    assert [page for _, page in bill_runs._paged(rows)] == [0, 0, 0, 0, 1]


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_cancel_and_execute_and_one_of_both_wins():
    run = created()

    def work(index):
        try:
            if index % 2:
                return cancel_run(run=run, actor=ACTOR, now=APRIL).status
            return execute_run(run=run, actor=ACTOR, now=APRIL).status
        except Conflict as refusal:
            return refusal.code

    told = set(in_threads(8, work))
    assert told in ({"CANCELLED"}, {"WAITING", "BILL_RUN_STARTED"})
    assert BillRun.objects.get().status in told
