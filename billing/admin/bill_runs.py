"""Bill runs in the admin: how far they are, and what could not be billed."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from billing.models import BillRun, BillRunItem
from billing.services.bill_runs import execute_run

_STATES = {
    BillRun.Status.CREATED: "info",
    BillRun.Status.WAITING: "info",
    BillRun.Status.RUNNING: "info",
    BillRun.Status.COMPLETED: "success",
    BillRun.Status.PARTIALLY_FAILED: "warning",
    BillRun.Status.FAILED: "danger",
}
_ITEM_STATES = {
    BillRunItem.Status.PENDING: "info",
    BillRunItem.Status.BILLED: "success",
    BillRunItem.Status.FAILED: "danger",
}


@admin.register(BillRun)
class BillRunAdmin(ReadOnlyAdmin):
    """Runs are made over the API and by Beat; one that was never started can be started here."""

    list_display = (
        "__str__",
        "tenant",
        "state",
        "scope",
        "invoices_made",
        "failures",
        "created_at",
        "completed_at",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "status", "scope", ("created_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("label", "notes", "id")
    actions = ("execute",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        runs: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                billed_count=_count_of(BillRunItem.Status.BILLED),
                failed_count=_count_of(BillRunItem.Status.FAILED),
            )
        )
        return runs

    @display(description="status", label=_STATES, ordering="status")
    def state(self, run: BillRun) -> str:
        return run.status

    @display(description="invoices")
    def invoices_made(self, run: Any) -> int:
        return int(run.billed_count)

    @display(description="failed")
    def failures(self, run: Any) -> int:
        return int(run.failed_count)

    def has_execute_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Execute", permissions=["execute"])
    def execute(self, request: HttpRequest, queryset: QuerySet[BillRun]) -> None:
        runs = [
            run
            for run in queryset.filter(status=BillRun.Status.CREATED)
            if self.may_write(request, run)
        ]
        for run in runs:
            execute_run(run=run, actor=actor_of(request, run.tenant), now=timezone.now())
        self.message_user(request, f"{len(runs)} bill runs started", messages.SUCCESS)


def _count_of(status: BillRunItem.Status) -> Coalesce:
    """How many items of the run at hand have this status, counted for the shown rows only."""
    items = BillRunItem.objects.filter(run=OuterRef("pk"), status=status)  # any tenant: the run's
    counted = items.order_by().values("run").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)


@admin.register(BillRunItem)
class BillRunItemAdmin(ReadOnlyAdmin):
    """One period of a run: billed, or why not."""

    list_display = ("period", "run", "tenant", "state", "failed_stage", "error")
    list_select_related = ("period", "run", "tenant")
    list_filter = (TenantFilter, "status", "failed_stage")
    search_fields = (
        "error",
        "period__subscription__customer__external_id",
        "period__subscription__customer__name",
    )

    @display(description="status", label=_ITEM_STATES, ordering="status")
    def state(self, item: BillRunItem) -> str:
        return item.status
