"""Tables within a page of billing, to be read."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import display

from aforo.money import minor_units, plain
from billing.models import BillRunEventIndex, InvoiceLine, StageRecord


class _ToBeRead:
    """Whoever sees the page sees its rows; nobody changes them."""

    extra = 0
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


class LineInline(_ToBeRead, TabularInline):
    model = InvoiceLine
    fields = ("position", "stage", "what", "used", "exact", "rounded")
    readonly_fields = ("what", "used", "exact", "rounded")
    ordering = ("position",)

    @display(description="description")
    def what(self, line: InvoiceLine) -> SafeString:
        page = reverse("admin:billing_invoiceline_change", args=[line.pk])
        link = format_html('<a href="{}">{}</a>', page, line.description)
        if line.period_start_at is None or line.period_end_at is None:
            return link
        period = f"{line.period_start_at:%Y-%m-%d} to {line.period_end_at:%Y-%m-%d}"
        return format_html("{} ({})", link, period)

    @display(description="quantity")
    def used(self, line: InvoiceLine) -> str:
        return "" if line.quantity is None else f"{line.quantity.normalize():,f}"

    @display(description="before rounding")
    def exact(self, line: InvoiceLine) -> str:
        return plain(line.exact_amount)

    @display(description="amount")
    def rounded(self, line: InvoiceLine) -> str:
        return f"{line.amount:,.{minor_units(line.invoice.currency)}f}"


class SpanInline(_ToBeRead, TabularInline):
    model = BillRunEventIndex
    fields = ("running_total_id", "first_position", "last_position", "event_count", "sha256")
    readonly_fields = ("sha256",)

    @display(description="digest")
    def sha256(self, span: BillRunEventIndex) -> str:
        return bytes(span.digest).hex()


class StageInline(_ToBeRead, StackedInline):
    model = StageRecord
    fields = ("ten_stages",)
    readonly_fields = ("ten_stages",)
    verbose_name_plural = "stages"

    @display(description="what each stage did")
    def ten_stages(self, record: StageRecord) -> SafeString:
        return stages_table(record)


def stages_table(record: StageRecord) -> SafeString:
    """The ten stages as rows: the total before and after, notes, microseconds."""
    cell = '<td class="px-3 py-1.5 align-top">{}</td>'
    rows = format_html_join(
        "",
        f"<tr>{cell * 5}</tr>",
        (
            (
                stage["stage"],
                stage["before"].get("total", ""),
                stage["after"].get("total", ""),
                "; ".join(stage["notes"]),
                stage["microseconds"],
            )
            for stage in record.stages
        ),
    )
    titles = ("stage", "before", "after", "notes", "µs")
    head = format_html_join("", '<th class="px-3 py-1.5">{}</th>', ((title,) for title in titles))
    return format_html('<table class="w-full text-left"><tr>{}</tr>{}</table>', head, rows)
