"""One page of a bill run: chunk by chunk, and around whatever cannot be billed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from aforo.queue import enqueue
from aforo.tenancy import clock
from billing.models import BillRun, BillRunItem
from billing.pipeline import StageFailed
from billing.services.bill_runs import PAGES_AT_ONCE, finish_run
from billing.services.invoices import bill_periods

log = structlog.get_logger(__name__)

CHUNK = 250
AFTER_THE_STAGES = "Settle"
"""What an error of the database is filed under: writing an invoice is what Settle decides on."""


def bill_page(*, run_id: UUID, page: int, now: datetime) -> int:
    """Bill what is pending on a page; the number of items dealt with.

    May run twice, at once or after a kill: items that a twin holds are left to it, and what is
    billed is not pending any more.
    """
    run = BillRun.objects.select_related("tenant").get(pk=run_id)  # any tenant: by id
    if run.status != BillRun.Status.RUNNING:
        return 0
    item_ids = _item_ids(run, page)
    done = 0
    for start in range(0, len(item_ids), CHUNK):
        done += _bill(run, item_ids[start : start + CHUNK], now=now)
    if done:
        enqueue("billing.bill_page", run_id=str(run.id), page=page + PAGES_AT_ONCE)
    finish_run(run_id=run.id, now=now)
    return done


def _item_ids(run: BillRun, page: int) -> Sequence[UUID]:
    items = (
        _pending(run)
        .filter(page=page)
        .order_by("period__subscription__customer__external_id", "period__end_at", "id")
    )
    return list(items.values_list("id", flat=True))


def _pending(run: BillRun) -> QuerySet[BillRunItem]:
    items: QuerySet[BillRunItem] = BillRunItem.objects.for_tenant(run.tenant_id)
    return items.filter(run=run, status=BillRunItem.Status.PENDING)


def _bill(run: BillRun, item_ids: Sequence[UUID], *, now: datetime) -> int:
    """Bill these items in one transaction; when that fails, each half, down to the one at fault."""
    try:
        return _bill_together(run, item_ids, now=now)
    except (OperationalError, InterfaceError, SoftTimeLimitExceeded):
        raise  # not the fault of any item: the task comes again
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one must not stop the others
        if isinstance(error.__cause__, SoftTimeLimitExceeded):  # time was up within a stage
            raise error.__cause__ from None
        if len(item_ids) == 1:
            return _fail(run, item_ids[0], error)
    middle = len(item_ids) // 2
    halves = item_ids[:middle], item_ids[middle:]
    return sum(_bill(run, half, now=now) for half in halves)


@transaction.atomic
def _bill_together(run: BillRun, item_ids: Sequence[UUID], *, now: datetime) -> int:
    items = _pending(run).filter(id__in=item_ids).order_by("id")
    locked = items.select_for_update(of=("self",), skip_locked=True)
    claimed = dict(locked.values_list("id", "period_id"))
    if not claimed:
        return 0
    bill_periods(run=run, period_ids=claimed.values(), now=clock.at(run.tenant, now))
    BillRunItem.objects.for_tenant(run.tenant_id).filter(id__in=claimed).update(
        status=BillRunItem.Status.BILLED
    )
    return len(claimed)


def _fail(run: BillRun, item_id: UUID, error: Exception) -> int:
    stage = error.stage if isinstance(error, StageFailed) else AFTER_THE_STAGES
    log.warning("period_not_billed", item=str(item_id), stage=stage, exc_info=error)
    return (
        _pending(run)
        .filter(id=item_id)
        .update(status=BillRunItem.Status.FAILED, failed_stage=stage, error=str(error)[:2000])
    )
