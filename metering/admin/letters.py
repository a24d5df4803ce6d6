"""Refused events, whole, by reason and metric."""

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from metering.admin.base import BoundedPaginator, as_json
from metering.models import DeadLetter

_STATES = {
    DeadLetter.Status.OPEN: "danger",
    DeadLetter.Status.REPLAYED: "success",
    DeadLetter.Status.DISCARDED: "info",
}


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Refused events, whole, by reason and metric."""

    list_display = (
        "code",
        "metric",
        "tenant",
        "state",
        "occurrences",
        "detail",
        "received_at",
        "last_seen_at",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "status", "code", ("received_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("^metric", "=code", "=batch_id")
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    exclude = ("event",)
    readonly_fields = ("refused_event",)

    @display(description="status", label=_STATES, ordering="status")
    def state(self, letter: DeadLetter) -> str:
        return letter.status

    @display(description="event")
    def refused_event(self, letter: DeadLetter) -> SafeString | str:
        return as_json(letter.event)
