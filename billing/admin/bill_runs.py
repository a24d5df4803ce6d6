"""Bill runs in the admin: how far they are, and what could not be billed."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy.admin_acts import Act
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from billing.admin.acts import ActsOnReadRow
from billing.admin.bill_run_acts import acts_of_run
from billing.admin.explained import money
from billing.downloads import reconciliation_response
from billing.exports.reconciliation import Reconciliation, invoiced_by, reconciliation_of
from billing.models import BillRun, BillRunItem, Invoice
from billing.selectors.bill_runs import failures_of, progress_of
from billing.services.bill_runs import execute_run

_STATES = {
    BillRun.Status.CREATED: "info",
    BillRun.Status.WAITING: "info",
    BillRun.Status.RUNNING: "info",
    BillRun.Status.COMPLETED: "success",
    BillRun.Status.PARTIALLY_FAILED: "warning",
    BillRun.Status.FAILED: "danger",
    BillRun.Status.CANCELLED: "info",
}
MOST = 50  # invoices on the page of a run; the list has all of them
_PLACES = {
    "billed": "on an invoice, at a price",
    "free": "on an invoice, without adding to the price",
    "late": "on an adjustment to their period",
    "open": "counted, and their period not billed yet",
    "unbilled": "that nobody's price applies to",
    "duplicates": "sent more than once",
    "dead": "dead letters, discarded ones too",
    "held": "waiting for a decision",
    "waived": "never to be billed",
    "waiting": "in the inbox",
}
_ITEM_STATES = {
    BillRunItem.Status.PENDING: "info",
    BillRunItem.Status.BILLED: "success",
    BillRunItem.Status.FAILED: "danger",
}


@admin.register(BillRun)
class BillRunAdmin(ActsOnReadRow):
    """Runs are made over the API and by Beat; here they are watched, started, tried again."""

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
    fields = (
        ("label", "tenant"),
        ("window_start", "window_end"),
        ("scope", "auto_finalize"),
        ("created_at", "notes"),
        ("started_at", "completed_at"),
    )
    change_form_outer_before_template = "billing/run_progress.html"
    change_form_outer_after_template = "billing/run_page.html"
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

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        base = "<uuid:id>/reconciliation"
        own = [
            path(base, wrap(self.reconciliation), name="billing_billrun_reconciliation"),
            path(f"{base}.csv", wrap(self.table), name="billing_billrun_reconciliation_csv"),
        ]
        return [*own, *super().get_urls()]

    def acts_of(self, row: BillRun) -> dict[str, Act]:
        return acts_of_run(row)

    def shown(self, request: HttpRequest, row: BillRun) -> dict[str, object]:
        rows = Invoice.objects.for_tenant(row.tenant_id).filter(bill_run=row)
        chosen = urlencode({"bill_run__id__exact": str(row.pk)})
        progress = progress_of(row)
        return {
            "run": row,
            "progress": progress,
            "percent": 100 if row.completed_at else progress.percent,
            "item_count": progress.pending + progress.billed + progress.failed,
            "refreshes": row.status in {BillRun.Status.WAITING, BillRun.Status.RUNNING},
            "failed_items": failures_of(row),
            "invoiced": [
                (one.invoices, one.status.lower(), money(one.total, one.currency))
                for one in invoiced_by(row)
            ],
            "invoices": [
                (one, one.number or "draft", money(one.total, one.currency))
                for one in rows.select_related("customer").order_by("created_at", "pk")[:MOST]
            ],
            "all_invoices": f"{reverse('admin:billing_invoice_changelist')}?{chosen}",
        }

    def reconciliation(self, request: HttpRequest, id: UUID) -> HttpResponse:  # noqa: A002 - path
        """A page of its own: it reads every event of the window."""
        run: BillRun = self.visible(request, id)
        found = reconciliation_of(run)
        places = [(name, count, _PLACES[name], _page_of(name, run)) for name, count in found.places]
        return self.page(
            request,
            "billing/reconciliation.html",
            f"Reconciliation of {run}",
            run=run,
            found=found,
            places=places,
        )

    def table(self, request: HttpRequest, id: UUID) -> HttpResponseBase:  # noqa: A002 - path
        run: BillRun = self.visible(request, id)
        found: Reconciliation = reconciliation_of(run)
        return reconciliation_response(run, found)

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


def _page_of(place: str, run: BillRun) -> str:
    """Where the events of a place are looked at, and decided."""
    held = reverse("admin:metering_heldevent_changelist")
    pages = {
        "held": f"{held}?{urlencode({'tenant': run.tenant.slug, 'status__exact': 'WAITING'})}",
        "waived": f"{held}?{urlencode({'tenant': run.tenant.slug, 'status__exact': 'WAIVED'})}",
        "dead": reverse("admin:metering_deadletter_changelist"),
    }
    return pages.get(place, "")


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
