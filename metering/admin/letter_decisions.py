"""What was decided about many dead letters, and the metrics that units were drafted for."""

from django.contrib import admin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from metering.admin.base import BoundedPaginator
from metering.models import LetterDecision, UnknownMetric


@admin.register(LetterDecision)
class LetterDecisionAdmin(ReadOnlyAdmin):
    """Decisions about many letters, and how far each is."""

    list_display = (
        "decided_at",
        "tenant",
        "act",
        "state",
        "letters",
        "events",
        "batches",
        "decided_by",
        "reason",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "act", ("decided_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("reason", "=decided_by")
    paginator = BoundedPaginator

    @display(description="state", label={"finished": "success", "under way": "info"})
    def state(self, decision: LetterDecision) -> str:
        return "under way" if decision.finished_at is None else "finished"


@admin.register(UnknownMetric)
class UnknownMetricAdmin(ReadOnlyAdmin):
    """Names that events brought where the tenant has units drafted for unknown metrics."""

    list_display = ("name", "tenant", "first_seen_at", "drafted_at", "unit_id")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, ("unit_id", admin.EmptyFieldListFilter))
    search_fields = ("^name",)
    paginator = BoundedPaginator
