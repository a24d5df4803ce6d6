"""What stands behind an invoice, in the admin: lines, their events, what the stages did."""

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from billing.admin.inlines import SpanInline, stages_table
from billing.models import BillRunEventIndex, InvoiceLine, StageRecord


@admin.register(InvoiceLine)
class InvoiceLineAdmin(ReadOnlyAdmin):
    """One line, with the events behind it."""

    list_display = ("invoice", "position", "tenant", "type", "stage", "description", "amount")
    list_select_related = ("invoice", "tenant")
    list_filter = (TenantFilter, "type", "stage")
    search_fields = ("description", "invoice__number", "invoice__customer__external_id")
    inlines = (SpanInline,)


@admin.register(StageRecord)
class StageRecordAdmin(ReadOnlyAdmin):
    """What the ten stages did to one invoice."""

    list_display = ("invoice", "tenant")
    list_select_related = ("invoice", "tenant")
    list_filter = (TenantFilter,)
    search_fields = ("invoice__number", "invoice__customer__external_id")
    fields = ("invoice", "tenant", "ten_stages")
    readonly_fields = ("ten_stages",)

    @display(description="what each stage did")
    def ten_stages(self, record: StageRecord) -> SafeString:
        return stages_table(record)


@admin.register(BillRunEventIndex)
class BillRunEventIndexAdmin(ReadOnlyAdmin):
    """Which events are behind a line: a running total, from first to last position."""

    list_display = (
        "line",
        "tenant",
        "running_total_id",
        "first_position",
        "last_position",
        "event_count",
    )
    list_select_related = ("line", "tenant")
    list_filter = (TenantFilter,)
    search_fields = ("line__invoice__number", "line__description", "running_total_id")
    exclude = ("digest",)
    readonly_fields = ("sha256",)

    @display(description="digest")
    def sha256(self, span: BillRunEventIndex) -> str:
        return bytes(span.digest).hex()
