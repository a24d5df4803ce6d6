"""Bill runs: made for a window, started once, carried on step by step, finished by the last page.

Times of a run are on everybody's clock, since they measure it; which periods are past, and the
dates on invoices, go by the clock of the tenant.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import TypedDict
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet

from aforo.errors import Conflict, FieldError, Refused
from aforo.outbox.services import publish
from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, BillRunItem
from billing.selectors.bill_runs import Progress, progress_of
from billing.selectors.periods import (
    adjustable_periods,
    openable_periods,
    unbilled_periods,
)
from billing.services.consolidation import consolidate_run
from catalog.models import SubscriptionPeriod
from metering.models import InboxBatch

PAGE = 250  # periods per task: about half a second, which is what a drain behind it waits
PAGES_AT_ONCE = 4  # tasks of one run in the queue: what comes next waits for no more than these
LOOK_AGAIN = 1  # seconds until a run that waits for the inbox looks at it again

_SCOPES = {
    BillRun.Scope.CUSTOMER: "subscription__customer",
    BillRun.Scope.SUBSCRIPTION: "subscription",
    BillRun.Scope.OFFERING: "subscription__offering",
}


@transaction.atomic
def create_run(
    *,
    tenant: Tenant,
    window_start: datetime,
    window_end: datetime,
    actor: Actor,
    now: datetime,
    label: str = "",
    scope: str = BillRun.Scope.ALL,
    scope_id: UUID | None = None,
    auto_finalize: bool = False,
    notes: str = "",
) -> BillRun:
    """A run that will bill what ended in (window_start, window_end]; it waits to be executed.

    Conflict when another unfinished run of the tenant has an overlapping window.
    """
    _require_window(window_start, window_end)
    if (scope == BillRun.Scope.ALL) != (scope_id is None):
        raise Refused("a scope other than ALL needs the id of its target, ALL has none")
    run = BillRun(
        tenant=tenant,
        label=label,
        window_start=window_start,
        window_end=window_end,
        scope=scope,
        scope_id=scope_id,
        auto_finalize=auto_finalize,
        notes=notes,
        created_at=now,
    )
    _insert(run)
    record_run(run, "BILL_RUN_CREATED", actor=actor, now=now)
    return run


@transaction.atomic
def execute_run(*, run: BillRun, actor: Actor, now: datetime) -> BillRun:
    """Start a run, once; a started one is returned as it stands.

    It first waits until everything that was in the tenant's inbox by now has been drained. What
    is accepted later either is drained in time too, or meets the watermark and is held.
    """
    locked = lock_run(run.id)
    if locked.status != BillRun.Status.CREATED:
        return locked
    inbox = InboxBatch.objects.filter(tenant_id=locked.tenant_id)  # any tenant: filtered by id
    locked.inbox_watermark = inbox.aggregate(last=Max("id"))["last"] or 0
    locked.status = BillRun.Status.WAITING
    locked.started_at = now
    locked.save(update_fields=["inbox_watermark", "status", "started_at"])
    record_run(locked, "BILL_RUN_EXECUTED", actor=actor, now=now)
    enqueue("billing.execute_bill_run", run_id=str(locked.id))
    return locked


@transaction.atomic
def advance_run(*, run_id: UUID, now: datetime, look_again: bool = True) -> BillRun:
    """Take a started run one step on: from the inbox to its items, from items to its end.

    May be called at any time, any number of times. `look_again` asks for another call when the
    inbox is not drained yet.
    """
    run = lock_run(run_id)
    if run.status == BillRun.Status.WAITING:
        if not _is_drained(run):
            if look_again:
                enqueue("billing.execute_bill_run", countdown=LOOK_AGAIN, run_id=str(run.id))
            return run
        _add_items(run, now=now)
    if run.status == BillRun.Status.RUNNING and not _finish(run, now=now):
        _enqueue_pages(run)
    return run


@transaction.atomic
def finish_run(*, run_id: UUID, now: datetime) -> BillRun:
    """Complete a run whose last item has been dealt with; any other is left alone."""
    run = lock_run(run_id)
    if run.status == BillRun.Status.RUNNING:
        _finish(run, now=now)
    return run


def resume_runs(*, now: datetime) -> int:
    """Take every started run one step on: what a killed worker or a lost message left behind."""
    started = (BillRun.Status.WAITING, BillRun.Status.RUNNING)
    runs = BillRun.objects.filter(status__in=started)  # any tenant: Beat looks after all
    run_ids = list(runs.order_by("created_at").values_list("id", flat=True))
    for run_id in run_ids:
        advance_run(run_id=run_id, now=now, look_again=False)
    return len(run_ids)


def lock_run(run_id: UUID) -> BillRun:
    """The row, locked against other steps but not against the invoices that refer to it."""
    runs = BillRun.objects.select_for_update(of=("self",), no_key=True)  # any tenant: by id
    run: BillRun = runs.select_related("tenant").get(pk=run_id)
    return run


def _require_window(start: datetime, end: datetime) -> None:
    if start >= end:
        reason = "the period must start before it ends"
        raise Refused(reason, errors=(FieldError("billingPeriodEnd", "INVALID", reason),))


def _insert(run: BillRun) -> None:
    # One after another: two inserts that check an exclusion constraint at once may deadlock.
    Tenant.objects.select_for_update(no_key=True).get(pk=run.tenant_id)
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        raise conflict_with(run, error) from error


def conflict_with(run: BillRun, error: IntegrityError) -> Exception:
    """What to raise when a run could not be saved: a conflict, or else the error itself."""
    diagnosis = getattr(error.__cause__, "diag", None)
    name = getattr(diagnosis, "constraint_name", "")
    if name != "one_unfinished_run_per_tenant_and_window":
        return error
    return Conflict(
        f"another bill run over {run.window_start:%Y-%m-%d} to {run.window_end:%Y-%m-%d}"
        " has not finished",
        code="BILL_RUN_CONFLICT",
    )


def _is_drained(run: BillRun) -> bool:
    left = InboxBatch.objects.filter(  # any tenant: filtered by id
        tenant_id=run.tenant_id, id__lte=run.inbox_watermark
    )
    return not left.exists()


class _Window(TypedDict):
    tenant_id: UUID
    after: datetime
    until: datetime


def _add_items(run: BillRun, *, now: datetime) -> None:
    """List what the run must bill: what is past by the tenant's clock, in pages.

    After the periods that end in its window come those that begin in it and owe fees in advance,
    and subscriptions that are over, whichever window theirs was: late usage that no later period
    will carry.
    """
    until = min(run.window_end, clock.at(run.tenant, now))
    window: _Window = {"tenant_id": run.tenant_id, "after": run.window_start, "until": until}
    rows = dict(
        chain(
            _rows(run, unbilled_periods(**window)),
            _rows(run, openable_periods(**window)),
            _rows(run, adjustable_periods(tenant_id=run.tenant_id, until=until)),
        )
    )
    BillRunItem.objects.bulk_create(
        (
            BillRunItem(tenant_id=run.tenant_id, run=run, period_id=period_id, page=page)
            for period_id, page in _paged(rows)
        ),
        batch_size=PAGE,
    )
    run.status = BillRun.Status.RUNNING
    run.save(update_fields=["status"])


def _paged(rows: Mapping[UUID, UUID]) -> Iterator[tuple[UUID, int]]:
    """Each period with its page. All of one customer are on one: a period builds on the last."""
    page, on_it, last = 0, 0, None
    for period_id, customer_id in rows.items():
        if on_it >= PAGE and customer_id != last:
            page, on_it = page + 1, 0
        yield period_id, page
        on_it, last = on_it + 1, customer_id


def _rows(run: BillRun, periods: QuerySet[SubscriptionPeriod]) -> Iterator[tuple[UUID, UUID]]:
    """Periods of the run's scope with their customers, in order of time within each."""
    if run.scope != BillRun.Scope.ALL:
        periods = periods.filter(Q((_SCOPES[BillRun.Scope(run.scope)], run.scope_id)))
    ordered = periods.order_by("subscription__customer__external_id", "end_at", "id")
    return ordered.values_list("id", "subscription__customer_id").iterator()


def _enqueue_pages(run: BillRun) -> None:
    pages = _pending(run).order_by("page").values_list("page", flat=True).distinct()
    for page in pages[:PAGES_AT_ONCE]:
        enqueue("billing.bill_page", run_id=str(run.id), page=page)


def _pending(run: BillRun) -> QuerySet[BillRunItem]:
    items: QuerySet[BillRunItem] = BillRunItem.objects.for_tenant(run.tenant_id)
    return items.filter(run=run, status=BillRunItem.Status.PENDING)


def _finish(run: BillRun, *, now: datetime) -> bool:
    """Complete `run` unless something is pending; whether it is complete."""
    if _pending(run).exists():
        return False
    progress = progress_of(run)
    consolidate_run(run_id=run.id, now=now)
    run.status = _outcome(progress)
    run.completed_at = now
    run.save(update_fields=["status", "completed_at"])
    publish(
        tenant_id=run.tenant_id,
        fact="bill_run.completed",
        subject=run.id,
        payload={
            "billRunId": str(run.id),
            "status": run.status,
            "invoicesGenerated": run.invoices.count(),
            "failed": progress.failed,
            "customersProcessed": progress.customers,
        },
        now=clock.at(run.tenant, now),
    )
    record_run(run, "BILL_RUN_COMPLETED", actor=Actor.system(), now=now)
    return True


def _outcome(progress: Progress) -> BillRun.Status:
    if not progress.failed:
        return BillRun.Status.COMPLETED
    return BillRun.Status.PARTIALLY_FAILED if progress.billed else BillRun.Status.FAILED


def record_run(run: BillRun, action: str, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """Note what was done to a run, with what it is like now."""
    after = {"status": run.status, "scope": run.scope, "auto_finalize": run.auto_finalize}
    audit.record(
        tenant=run.tenant_id,
        actor=actor,
        action=action,
        target=run,
        now=clock.at(run.tenant, now),
        changes=audit.differences({}, after),
        reason=reason,
    )
