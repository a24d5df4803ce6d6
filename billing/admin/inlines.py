"""Tables within a page of billing, to be read."""

from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import display

from aforo.money import plain
from billing.models import BillRunEventIndex, InvoiceLine, StageRecord


class _ToBeRead:
    """Whoever sees the page sees its rows; nobody changes them."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


class LineInline(_ToBeRead, TabularInline):
    model = InvoiceLine
    fields = ("position", "type", "stage", "description", "used", "exact", "amount")
    readonly_fields = ("used", "exact")
    ordering = ("position",)
    show_change_link = True

    @display(description="quantity")
    def used(self, line: InvoiceLine) -> str:
        return "" if line.quantity is None else plain(line.quantity)

    @display(description="before rounding")
    def exact(self, line: InvoiceLine) -> str:
        return plain(line.exact_amount)


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
    rows = format_html_join(
        "",
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
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
    head = "<tr><th>stage</th><th>before</th><th>after</th><th>notes</th><th>µs</th></tr>"
    return format_html('<table class="w-full text-left">' + head + "{}</table>", rows)
