"""Batches: those that wait, and what became of the others."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter

from metering.admin.base import LargeTableAdmin, RecentValuesFilter, TenantIdFilter
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
        return super().get_queryset(request).defer("body", "refused")


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
        return super().get_queryset(request).defer("refusals")
