"""Runs that nobody executes, and runs that failed in part: called off, or tried once more."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from aforo.errors import Conflict
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, BillRunItem
from billing.services.bill_runs import advance_run, conflict_with, lock_run, record_run

EXPIRE_AFTER = timedelta(hours=24)  # a run that nobody executes keeps others off its window
_FAILED = (BillRun.Status.FAILED, BillRun.Status.PARTIALLY_FAILED)


@transaction.atomic
def cancel_run(*, run: BillRun, actor: Actor, now: datetime, reason: str = "") -> BillRun:
    """Call off a run that was not executed; its window is free again. Again changes nothing."""
    locked = lock_run(run.pk)
    if locked.status == BillRun.Status.CANCELLED:
        return locked
    if locked.status != BillRun.Status.CREATED:
        raise Conflict(
            f"the run is {locked.status}: only one that was not executed can be cancelled",
            code="BILL_RUN_STARTED",
        )
    locked.status = BillRun.Status.CANCELLED
    locked.completed_at = now
    locked.save(update_fields=["status", "completed_at"])
    record_run(locked, "BILL_RUN_CANCELLED", actor=actor, now=now, reason=reason)
    return locked


def expire_runs(*, now: datetime) -> int:
    """Cancel runs that have waited for their execution for a day; how many."""
    old = BillRun.objects.filter(  # any tenant: Beat looks after all
        status=BillRun.Status.CREATED, created_at__lte=now - EXPIRE_AFTER
    )
    runs = list(old.order_by("created_at"))
    actor = Actor.system("expire_bill_runs")
    for run in runs:
        cancel_run(run=run, actor=actor, now=now, reason="not executed within a day")
    return len(runs)


@transaction.atomic
def retry_run(*, run: BillRun, actor: Actor, now: datetime, reason: str = "") -> BillRun:
    """Try what a finished run could not bill once more; nothing happens when there is nothing.

    Conflict while the run, or another one over its window, has not finished.
    """
    locked = lock_run(run.pk)
    if locked.status in BillRun.UNFINISHED:
        raise Conflict("the run has not finished: it cannot be retried yet", code="BILL_RUN_ACTIVE")
    failed = BillRunItem.objects.for_tenant(locked.tenant_id).filter(
        run=locked, status=BillRunItem.Status.FAILED
    )
    if locked.status not in _FAILED or not failed.exists():
        return locked
    locked.status = BillRun.Status.RUNNING
    locked.completed_at = None
    try:
        with transaction.atomic():
            locked.save(update_fields=["status", "completed_at"])
    except IntegrityError as error:
        raise conflict_with(locked, error) from error
    failed.update(status=BillRunItem.Status.PENDING, failed_stage="", error="")
    record_run(locked, "BILL_RUN_RETRIED", actor=actor, now=now, reason=reason)
    return advance_run(run_id=locked.pk, now=now)
