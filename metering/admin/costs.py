"""What serving customers costs, as it was reported."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.money import plain
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from metering.admin.base import BoundedPaginator, as_json, customer_name
from metering.models import CostEvent


@admin.register(CostEvent)
class CostEventAdmin(ReadOnlyAdmin):
    """One row per cost; margins are made of these and of the unit costs of the catalog."""

    list_display = (
        "idempotency_key",
        "tenant",
        "customer",
        "kind",
        "spent",
        "currency",
        "metric",
        "occurred_at",
        "received_at",
    )
    list_select_related = ("tenant",)
    list_filter = (TenantFilter, "kind", ("received_at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("=idempotency_key", "=usage_key", "=customer_id")
    ordering = ("-id",)  # ids rise with time, and have an index
    paginator = BoundedPaginator
    exclude = ("amount", "metadata", "body")
    readonly_fields = ("spent", "readable_metadata")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).annotate(customer_name=customer_name())
        return cast(QuerySet[Any], rows)

    @display(description="customer")
    def customer(self, cost: Any) -> str:
        return cost.customer_name or ""

    @display(description="amount")
    def spent(self, cost: CostEvent) -> str:
        return plain(cost.amount)

    @display(description="metadata")
    def readable_metadata(self, cost: CostEvent) -> SafeString | str:
        return as_json(cost.metadata)
