"""Tables within a page of billing, to be read."""

from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import display

from billing.models import BillRunEventIndex, StageRecord


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


class SpanInline(_ToBeRead, TabularInline):
    model = BillRunEventIndex
    fields = ("running_total_id", "first_position", "last_position", "event_count", "sha256")
    readonly_fields = ("sha256",)

    @display(description="digest")
    def sha256(self, span: BillRunEventIndex) -> str:
        return bytes(span.digest).hex()


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
