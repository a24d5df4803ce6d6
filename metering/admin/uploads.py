"""Uploads: a file, its columns, a rehearsal, and how far it has been counted."""

from itertools import islice
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from aforo.tenancy.roles import KEY_WRITERS
from metering.admin.upload_forms import ColumnsForm, FileForm
from metering.models import Upload
from metering.selectors.uploads import Fate, fate_of, report_of
from metering.services import uploads
from metering.uploads import report
from metering.uploads.reading import Reading, reading_of

_STATES = {
    Upload.State.DRAFT: "info",
    Upload.State.QUEUED: "info",
    Upload.State.PROCESSING: "info",
    Upload.State.COMPLETED: "success",
    Upload.State.PARTIAL: "warning",
    Upload.State.FAILED: "danger",
}
SHOWN_REFUSALS = 20
WHOLE = 100


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    """Files of usage. A new one is looked at, mapped, rehearsed and counted, step by step."""

    write_roles = KEY_WRITERS
    list_display = (
        "file_name",
        "tenant",
        "status",
        "dry_run",
        "rows_read",
        "accepted",
        "failed",
        "created_by",
        "created_at",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "state", "dry_run", ("created_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("file_name", "=sha256")

    @display(description="state", label=_STATES, ordering="state")
    def status(self, upload: Upload) -> tuple[str, str]:
        return upload.state, upload.get_state_display()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:id>/columns/", view(self.columns_view), name="metering_upload_columns"),
            path("<uuid:id>/report/", view(self.report_view), name="metering_upload_report"),
        ]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Step 1: which file, and whose."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = FileForm(request, *((request.POST, request.FILES) if request.POST else ()))
        if request.method == "POST" and form.is_valid():
            tenant, file = form.cleaned_data["tenant"], form.cleaned_data["file"]
            try:
                upload = uploads.keep_file(
                    tenant=tenant,
                    file=file,
                    file_name=file.name,
                    actor=actor_of(request, tenant),
                    now=clock.now(tenant),
                    at=timezone.now(),
                )
            except AforoError as refusal:
                form.add_error("file", refusal.detail)
            else:
                return redirect("admin:metering_upload_columns", upload.pk)
        return self.page(request, "metering/upload_file.html", "Upload a file of usage", form=form)

    def columns_view(self, request: HttpRequest, **found_by: UUID) -> HttpResponse:
        """Step 2: which column is what; then a rehearsal, or the real thing."""
        upload = self._writable(request, **found_by)
        try:
            preview = uploads.preview(upload)
        except AforoError as refusal:
            return self._told(request, upload, refusal.detail)
        form = ColumnsForm(upload, preview, *((request.POST,) if request.POST else ()))
        if request.method == "POST" and form.is_valid():
            try:
                self._start(request, upload, form.reading(dry_run="check" in request.POST))
            except AforoError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return redirect("admin:metering_upload_change", upload.pk)
        table = {"headers": list(preview.columns), "rows": list(preview.cells())}
        title = f"{upload.file_name}: which column is what?"
        return self.page(
            request,
            "metering/upload_columns.html",
            title,
            form=form,
            upload=upload,
            table=table,
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Step 3: how far it is, and what was refused."""
        upload = self._found(request, object_id)
        if request.method == "POST":
            return self._decide(request, self._writable(request, id=upload.pk))
        is_kept = upload.pieces.exists()
        if upload.state == Upload.State.DRAFT and is_kept and self.may_write(request, upload):
            return redirect("admin:metering_upload_columns", upload.pk)
        refused = list(islice(report_of(upload), SHOWN_REFUSALS))
        fate = fate_of(upload)
        return self.page(
            request,
            "metering/upload_progress.html",
            upload.file_name,
            upload=upload,
            figures=_figures(upload, fate),
            percent=_percent(upload),
            refused={"headers": ["Row", "Code", "Why", "Row as read"], "rows": refused},
            goes_on=upload.state in uploads.UNFINISHED,
            refreshes=upload.state in uploads.UNFINISHED or fate.waiting > 0,
            may_start=upload.dry_run and is_kept and self.may_write(request, upload),
            may_write=self.may_write(request, upload),
            state_color=_STATES[Upload.State(upload.state)],
        )

    def report_view(self, request: HttpRequest, **found_by: UUID) -> HttpResponseBase:
        """All rows that were refused, as CSV."""
        upload = self._found(request, found_by["id"])
        return StreamingHttpResponse(
            report.lines_of(upload),
            content_type=report.CONTENT_TYPE,
            headers={"Content-Disposition": report.disposition_of(upload)},
        )

    def _decide(self, request: HttpRequest, upload: Upload) -> HttpResponse:
        try:
            if "cancel" in request.POST:
                actor, now = actor_of(request, upload.tenant), clock.now(upload.tenant)
                uploads.cancel(upload=upload, actor=actor, now=now, at=timezone.now())
            elif "count" in request.POST:
                again = reading_of(upload)
                self._start(request, upload, again.for_good())
        except AforoError as refusal:
            return self._told(request, upload, refusal.detail)
        return redirect("admin:metering_upload_change", upload.pk)

    def _start(self, request: HttpRequest, upload: Upload, reading: Reading) -> None:
        uploads.start(
            upload=upload,
            reading=reading,
            actor=actor_of(request, upload.tenant),
            now=clock.now(upload.tenant),
            at=timezone.now(),
        )

    def _found(self, request: HttpRequest, upload_id: object) -> Upload:
        """An upload that may be seen; another tenant's is as absent as none."""
        upload = cast(Upload | None, self.get_object(request, str(upload_id)))
        if upload is None:
            raise Http404
        return upload

    def _writable(self, request: HttpRequest, **found_by: UUID) -> Upload:
        upload = self._found(request, found_by["id"])
        if not self.may_write(request, upload):
            raise PermissionDenied
        return upload

    def _told(self, request: HttpRequest, upload: Upload, text: str) -> HttpResponse:
        self.message_user(request, text, messages.ERROR)
        return redirect("admin:metering_upload_change", upload.pk)


def _figures(upload: Upload, fate: Fate) -> list[tuple[str, str, str]]:
    """What the cards say: a name, a number, a remark."""
    figures = [
        ("Taken", upload.accepted, "would count" if upload.dry_run else "passed the gates"),
        ("Refused", upload.failed, "the report names them"),
    ]
    if not upload.dry_run:
        figures += [
            ("Counted", fate.counted, f"and {fate.unbilled:,} without a price"),
            ("Duplicates", fate.duplicates, "were counted before"),
            ("Held", fate.held, "their period is billed already"),
            ("Dead letters", fate.dead, "with those refused when they were counted"),
            ("Waiting", fate.waiting, "to be counted"),
        ]
    return [(name, f"{number:,}", remark) for name, number, remark in figures]


def _percent(upload: Upload) -> int:
    if upload.row_count is None:
        return 0
    return WHOLE * upload.rows_read // max(upload.row_count, 1)
