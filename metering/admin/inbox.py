"""Batches: those that wait, and what became of the others."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from metering.admin.base import (
    LargeTableAdmin,
    RecentValuesFilter,
    TenantIdFilter,
    tenant_slug,
)
from metering.models import InboxBatch, Receipt


@admin.register(InboxBatch)
class InboxBatchAdmin(LargeTableAdmin):
    """What waits to be drained; in a healthy installation nearly nothing."""

    list_display = ("batch_id", "tenant", "source", "event_count", "received_at", "arrived_at")
    list_filter = (
        TenantIdFilter,
        ("source", RecentValuesFilter),
        ("arrived_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("=batch_id",)
    exclude = ("body", "refused")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).defer("body", "refused")
        return cast(QuerySet[Any], rows.annotate(slug=tenant_slug()))

    @display(description="tenant")
    def tenant(self, row: Any) -> str:
        return str(row.slug)


@admin.register(Receipt)
class ReceiptAdmin(LargeTableAdmin):
    """What became of each batch, in events as they came."""

    list_display = (
        "batch_id",
        "tenant",
        "source",
        "drained_at",
        "event_count",
        "counted",
        "unbilled",
        "duplicates",
        "dead",
        "held",
    )
    list_filter = (
        TenantIdFilter,
        ("source", RecentValuesFilter),
        ("drained_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("=batch_id",)
    ordering = ("-batch_id",)  # ids rise with time, and have an index

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).defer("refusals")
        return cast(QuerySet[Any], rows.annotate(slug=tenant_slug()))

    @display(description="tenant")
    def tenant(self, row: Any) -> str:
        return str(row.slug)
