"""Late events of periods that are billed already, waiting for a decision."""

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.money import plain
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from metering.admin.base import BoundedPaginator, as_json
from metering.models import HeldEvent

_DECISIONS = {
    HeldEvent.Status.WAITING: "warning",
    HeldEvent.Status.ACCEPTED: "success",
    HeldEvent.Status.WAIVED: "info",
}


@admin.register(HeldEvent)
class HeldEventAdmin(ReadOnlyAdmin):
    """Late events of periods that are billed already."""

    list_display = (
        "idempotency_key",
        "metric",
        "tenant",
        "state",
        "amount_used",
        "occurred_at",
        "received_at",
        "decided_by",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "status", ("received_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("=idempotency_key", "^metric", "=batch_id", "=running_total_id")
    ordering = ("-id",)
    paginator = BoundedPaginator
    exclude = ("event", "quantity")
    readonly_fields = ("amount_used", "held_event")

    @display(description="status", label=_DECISIONS, ordering="status")
    def state(self, held: HeldEvent) -> str:
        return held.status

    @display(description="quantity", ordering="quantity")
    def amount_used(self, held: HeldEvent) -> str:
        return plain(held.quantity)

    @display(description="event")
    def held_event(self, held: HeldEvent) -> SafeString | str:
        return as_json(held.event)
