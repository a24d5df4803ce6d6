"""Bill runs and how far they have come."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from aforo.tenancy.models import Tenant
from billing.models import BillRun, BillRunItem

_Status = BillRunItem.Status


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of a run's items wait, are invoiced, and have failed; whose the invoices are."""

    pending: int = 0
    billed: int = 0
    failed: int = 0
    customers: int = 0

    @property
    def percent(self) -> int:
        """Of the items, how many have been dealt with: whole percent, 100 only when all are."""
        total = self.pending + self.billed + self.failed
        return 100 * (total - self.pending) // total if total else 0


def bill_runs(*, tenant: Tenant) -> QuerySet[BillRun]:
    """The tenant's runs, newest first."""
    runs: QuerySet[BillRun] = BillRun.objects.for_tenant(tenant).select_related("tenant")
    return runs


def progress_by_run(runs: Iterable[BillRun]) -> Mapping[UUID, Progress]:
    """The progress of runs that have items, by the run's id, in one statement."""
    items = BillRunItem.objects.filter(run__in=runs)  # any tenant: of runs at hand
    counted = (
        items.order_by()
        .values("run_id")
        .annotate(
            pending=Count("id", filter=Q(status=_Status.PENDING)),
            billed=Count("id", filter=Q(status=_Status.BILLED)),
            failed=Count("id", filter=Q(status=_Status.FAILED)),
            customers=Count(
                "period__subscription__customer",
                filter=Q(status=_Status.BILLED),
                distinct=True,
            ),
        )
    )
    return {row.pop("run_id"): Progress(**row) for row in counted}


def progress_of(run: BillRun) -> Progress:
    return progress_by_run([run]).get(run.id, Progress())


def failed_items(run: BillRun) -> QuerySet[BillRunItem]:
    """The periods that a run could not bill, with whose they are."""
    items: QuerySet[BillRunItem] = BillRunItem.objects.for_tenant(run.tenant_id)
    failed = items.filter(run=run, status=_Status.FAILED)
    return failed.select_related("period__subscription__customer").order_by("page", "id")


def failures_of(run: BillRun, *, limit: int = 100) -> QuerySet[BillRunItem]:
    """The first of them."""
    return failed_items(run)[:limit]
