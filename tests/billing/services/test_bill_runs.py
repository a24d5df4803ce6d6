from datetime import UTC, datetime, timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from aforo.errors import Conflict, Refused
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, BillRunItem, Invoice
from billing.pipeline import StageFailed
from billing.selectors.bill_runs import progress_of
from billing.services import bill_pages, bill_runs
from billing.services.bill_runs import advance_run, create_run, execute_run, resume_runs
from catalog.models import Offering
from metering.models import InboxBatch, RunningTotal
from tests.billing.build import APRIL, priced_subscription
from tests.billing.metered import meter
from tests.factories import MONTH_START, SandboxFactory, TenantFactory
from tests.threads import in_threads

NOW = datetime(2026, 4, 2, tzinfo=UTC)
ACTOR = Actor.system("tests")
PER_CALL = {"model": "PER_UNIT", "rate": "1"}
anybody = pytest.mark.django_db
in_transactions = pytest.mark.django_db(transaction=True)


def new_run(tenant, **fields):
    fields = {"window_start": MONTH_START, "window_end": APRIL, "auto_finalize": True, **fields}
    return create_run(tenant=tenant, actor=ACTOR, now=NOW, **fields)


def run_to_its_end(run, queued=None):
    """What workers do with a run, one task after another."""
    execute_run(run=run, actor=ACTOR, now=NOW)
    advance_run(run_id=run.id, now=NOW)
    pages = BillRunItem.objects.filter(run=run).values_list("page", flat=True).distinct()
    for page in sorted(pages):
        bill_pages.bill_page(run_id=run.id, page=page, now=NOW)
    run.refresh_from_db()
    return run


def in_the_inbox(tenant):
    return InboxBatch.objects.create(
        batch_id="00000000-0000-7000-8000-000000000001",
        tenant_id=tenant.id,
        bucket=0,
        source="API",
        received_at=NOW,
        arrived_at=NOW,
        event_count=1,
        body=b"",
    )


@anybody
def test_a_run_bills_what_ended_in_its_window(queued):
    period, (unit,) = priced_subscription(PER_CALL)
    meter(period, unit, [1, 1, 1])
    run = run_to_its_end(new_run(period.tenant))
    assert run.status == "COMPLETED"
    assert [str(one.total) for one in Invoice.objects.all()] == ["3.0000"]
    progress = progress_of(run)
    assert (progress.billed, progress.failed, progress.percent, progress.customers) == (
        1, 0, 100, 1,
    )  # fmt: skip


@anybody
@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        (MONTH_START, APRIL, 1),  # the end is in the window
        (APRIL, APRIL + timedelta(days=30), 0),  # its start is not
        (MONTH_START, APRIL - timedelta(microseconds=1), 0),
    ],
)
def test_a_window_is_open_at_its_start_and_closed_at_its_end(queued, start, end, count):
    period, _ = priced_subscription(PER_CALL)
    run_to_its_end(new_run(period.tenant, window_start=start, window_end=end))
    assert Invoice.objects.count() == count


@anybody
def test_a_period_that_is_not_past_is_not_billed(queued):
    sandbox = SandboxFactory(clock_frozen_at=APRIL - timedelta(seconds=1))
    priced_subscription(PER_CALL, tenant=sandbox)
    run = run_to_its_end(new_run(sandbox))
    assert (run.status, Invoice.objects.count()) == ("COMPLETED", 0)


@anybody
def test_a_sandbox_is_billed_by_its_own_clock(queued):
    sandbox = SandboxFactory(clock_frozen_at=APRIL)
    priced_subscription(PER_CALL, tenant=sandbox)
    run_to_its_end(new_run(sandbox))
    assert Invoice.objects.get().issued_at == APRIL


@anybody
def test_an_overlapping_unfinished_run_is_a_conflict(queued):
    tenant = TenantFactory()
    new_run(tenant)
    with pytest.raises(Conflict) as refusal:
        new_run(tenant, window_start=APRIL - timedelta(days=1), window_end=NOW)
    assert refusal.value.code == "BILL_RUN_CONFLICT"
    assert BillRun.objects.count() == 1


@anybody
def test_windows_that_only_touch_do_not_conflict(queued):
    tenant = TenantFactory()
    new_run(tenant)
    new_run(tenant, window_start=APRIL, window_end=NOW)
    new_run(TenantFactory())
    assert BillRun.objects.count() == 3


@anybody
def test_a_finished_window_may_be_run_again_and_finds_nothing(queued):
    period, _ = priced_subscription(PER_CALL)
    run_to_its_end(new_run(period.tenant))
    again = run_to_its_end(new_run(period.tenant))
    assert (again.status, again.items.count()) == ("COMPLETED", 0)
    assert Invoice.objects.count() == 1


@anybody
def test_a_window_that_ends_before_it_starts_is_refused():
    with pytest.raises(Refused):
        new_run(TenantFactory(), window_start=APRIL, window_end=MONTH_START)
    assert BillRun.objects.count() == 0


@anybody
@pytest.mark.parametrize("scope", ["CUSTOMER", "SUBSCRIPTION", "OFFERING"])
def test_a_scope_leaves_everybody_else_out(queued, scope):
    period, _ = priced_subscription(PER_CALL)
    tenant, subscription = period.tenant, period.subscription
    version = subscription.plans.get().version
    priced_subscription(tenant=tenant, version=version)
    target = {
        "CUSTOMER": subscription.customer_id,
        "SUBSCRIPTION": subscription.id,
        "OFFERING": subscription.offering_id,
    }[scope]
    run_to_its_end(new_run(tenant, scope=scope, scope_id=target))
    assert Invoice.objects.get().subscription == subscription


@anybody
def test_executing_waits_for_what_was_in_the_inbox(queued):
    period, _ = priced_subscription(PER_CALL)
    batch = in_the_inbox(period.tenant)
    run = execute_run(run=new_run(period.tenant), actor=ACTOR, now=NOW)
    assert (run.status, run.inbox_watermark) == ("WAITING", batch.id)
    in_the_inbox(period.tenant)  # later: nobody waits for it
    assert advance_run(run_id=run.id, now=NOW).status == "WAITING"
    batch.delete()
    assert advance_run(run_id=run.id, now=NOW).status == "RUNNING"


@anybody
def test_other_tenants_inboxes_are_not_waited_for(queued):
    period, _ = priced_subscription(PER_CALL)
    in_the_inbox(TenantFactory())
    run = execute_run(run=new_run(period.tenant), actor=ACTOR, now=NOW)
    assert advance_run(run_id=run.id, now=NOW).status == "RUNNING"


@in_transactions
def test_executing_asks_for_the_work_and_again_while_it_waits(queued):
    period, _ = priced_subscription(PER_CALL)
    batch = in_the_inbox(period.tenant)
    run = execute_run(run=new_run(period.tenant), actor=ACTOR, now=NOW)
    step = ("billing.execute_bill_run", {"run_id": str(run.id)})
    assert queued == [step]
    advance_run(run_id=run.id, now=NOW)
    assert queued == [step, step]
    resume_runs(now=NOW)  # Beat comes by itself
    assert queued == [step, step]
    batch.delete()
    resume_runs(now=NOW)
    assert queued[2:] == [("billing.bill_page", {"run_id": str(run.id), "page": 0})]


@anybody
def test_executing_twice_starts_once(queued):
    run = new_run(TenantFactory())
    first = execute_run(run=run, actor=ACTOR, now=NOW)
    again = execute_run(run=run, actor=ACTOR, now=NOW + timedelta(hours=1))
    assert again.started_at == first.started_at
    assert AuditEntry.objects.filter(action="BILL_RUN_EXECUTED").count() == 1


@anybody
def test_a_failing_subscription_is_named_and_the_others_are_billed(queued):
    period, _ = priced_subscription(PER_CALL)
    tenant, version = period.tenant, period.subscription.plans.get().version
    others = [priced_subscription(tenant=tenant, version=version)[0] for _ in range(4)]
    Offering.objects.filter(pk=period.subscription.offering_id).update(billing_mode="PREPAID")
    run = run_to_its_end(new_run(tenant))
    assert run.status == "PARTIALLY_FAILED"
    item = BillRunItem.objects.get(run=run, status="FAILED")
    assert (item.period, item.failed_stage) == (period, "Route")
    assert "PREPAID needs a wallet" in item.error
    assert set(Invoice.objects.values_list("period", flat=True)) == {one.id for one in others}
    assert not RunningTotal.objects.filter(
        period_id=period.id, billed_position__isnull=False
    ).exists()


@anybody
def test_a_run_in_which_nothing_can_be_billed_has_failed(queued):
    period, _ = priced_subscription(PER_CALL)
    Offering.objects.update(billing_mode="HYBRID")
    assert run_to_its_end(new_run(period.tenant)).status == "FAILED"
    Offering.objects.update(billing_mode="POSTPAID")
    assert run_to_its_end(new_run(period.tenant)).status == "COMPLETED"


@anybody
def test_a_price_that_cannot_be_read_fails_before_the_first_stage(queued, monkeypatch):
    period, _ = priced_subscription({"model": "NOBODY_KNOWS"})
    run = run_to_its_end(new_run(period.tenant))
    item = run.items.get()
    assert (item.status, item.failed_stage) == ("FAILED", "Facts")
    assert item.error.startswith("Facts: model: must be one of")


@anybody
def test_a_finished_run_and_its_invoices_are_told(queued):
    period, _ = priced_subscription(PER_CALL)
    run = run_to_its_end(new_run(period.tenant))
    told = OutboxMessage.objects.for_tenant(period.tenant)
    finished = told.get(fact="bill_run.completed")
    assert finished.payload == {
        "billRunId": str(run.id),
        "status": "COMPLETED",
        "invoicesGenerated": 1,
        "failed": 0,
        "customersProcessed": 1,
    }
    invoice = Invoice.objects.get()
    finalized = told.get(fact="invoice.finalized")
    assert finalized.payload["number"] == invoice.number
    assert finalized.payload["total"] == "0.00"


@anybody
def test_drafts_are_not_announced(queued):
    period, _ = priced_subscription(PER_CALL)
    run_to_its_end(new_run(period.tenant, auto_finalize=False))
    assert not OutboxMessage.objects.filter(fact="invoice.finalized").exists()


@anybody
def test_a_task_whose_time_is_up_within_a_stage_fails_no_item(queued, monkeypatch):
    period, _ = priced_subscription(PER_CALL)
    run = execute_run(run=new_run(period.tenant), actor=ACTOR, now=NOW)
    advance_run(run_id=run.id, now=NOW)

    def stopped(*args, **kwargs):
        raise StageFailed("Rate", SoftTimeLimitExceeded()) from SoftTimeLimitExceeded()

    monkeypatch.setattr(bill_pages, "_bill_together", stopped)
    with pytest.raises(SoftTimeLimitExceeded):
        bill_pages.bill_page(run_id=run.id, page=0, now=NOW)
    assert BillRunItem.objects.get(run=run).status == "PENDING"


@in_transactions
def test_a_run_killed_between_chunks_is_resumed_without_duplicates(queued, monkeypatch):
    monkeypatch.setattr(bill_runs, "PAGE", 4)
    monkeypatch.setattr(bill_pages, "CHUNK", 2)
    period, _ = priced_subscription(PER_CALL)
    tenant, version = period.tenant, period.subscription.plans.get().version
    for _ in range(9):
        priced_subscription(tenant=tenant, version=version)
    run = execute_run(run=new_run(tenant), actor=ACTOR, now=NOW)
    advance_run(run_id=run.id, now=NOW)
    real, chunks = bill_pages._bill_together, []

    def killed_at_the_second(*args, **kwargs):
        chunks.append(args)
        if len(chunks) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(bill_pages, "_bill_together", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        bill_pages.bill_page(run_id=run.id, page=0, now=NOW)
    assert Invoice.objects.count() == 2
    queued.clear()
    resume_runs(now=NOW)
    assert [kwargs["page"] for _, kwargs in queued] == [0, 1, 2]
    while queued:
        _, kwargs = queued.pop()
        bill_pages.bill_page(run_id=run.id, page=kwargs["page"], now=NOW)
    run.refresh_from_db()
    assert run.status == "COMPLETED"
    assert Invoice.objects.count() == 10
    numbers = sorted(Invoice.objects.values_list("number", flat=True))
    assert numbers == [f"INV-2026-{number:04d}" for number in range(1, 11)]


@in_transactions
def test_eight_threads_that_create_one_window_make_one_run(queued):
    tenant = TenantFactory()

    def create(_):
        try:
            return new_run(tenant)
        except Conflict as error:
            return error.code

    results = in_threads(8, create)
    assert results.count("BILL_RUN_CONFLICT") == 7
    assert BillRun.objects.count() == 1


@in_transactions
def test_eight_workers_on_one_run_make_one_invoice_set(queued, monkeypatch):
    monkeypatch.setattr(bill_pages, "CHUNK", 3)
    period, _ = priced_subscription(PER_CALL)
    tenant, version = period.tenant, period.subscription.plans.get().version
    for _ in range(19):
        priced_subscription(tenant=tenant, version=version)
    run = new_run(tenant)

    def work(_):
        execute_run(run=run, actor=ACTOR, now=NOW)
        advance_run(run_id=run.id, now=NOW)
        return bill_pages.bill_page(run_id=run.id, page=0, now=NOW)

    assert sum(in_threads(8, work)) == 20
    run.refresh_from_db()
    assert run.status == "COMPLETED"
    numbers = sorted(Invoice.objects.values_list("number", flat=True))
    assert numbers == [f"INV-2026-{number:04d}" for number in range(1, 21)]
    assert OutboxMessage.objects.filter(fact="bill_run.completed").count() == 1
