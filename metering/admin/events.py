"""Usage events, by the running total that counts them or the latest of all, and their keys."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.views import ChangeList

from aforo.money import plain
from aforo.tenancy.admin_base import is_superuser, tenant_ids_of
from aforo.tenancy.models import Tenant
from metering.admin import chain
from metering.admin.base import (
    LargeTableAdmin,
    TenantIdFilter,
    as_json,
    customer_name,
    unit_name,
)
from metering.admin.trials import try_page
from metering.ingest.arrivals import hash_of
from metering.models import EventKey, UsageEvent
from metering.provenance import provenance_of

LATEST = 100_000  # events that a page without a total looks at: a tenth of a second
_LAST_ID = "SELECT last_value FROM pg_sequences WHERE sequencename = 'usage_events_id_seq'"
_OF_TOTAL = "running_total_id"
_OWN = (
    "idempotency_key",
    "tenant",
    "customer",
    "metric",
    "unit",
    "used",
    "occurred_at",
    "late",
    "product_type",
    "session_id",
    "agent_id",
    "tool_name",
    "trace_id",
    "readable_metadata",
)
_CHAIN = ("origin", "gates", "enrichment", "routing", "proof", "corrections", "raw")


class EventList(ChangeList):
    """All events of one total by its index, or the latest ones by the ids that they drew.

    Nothing else about a hundred million events can be listed or searched without reading them all.
    """

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        rows = cast(QuerySet[Any], super().get_queryset(request, *args, **kwargs))
        return rows if _OF_TOTAL in self.params else rows.filter(pk__gt=last_id() - LATEST)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        if _OF_TOTAL in self.params:
            return ["-position"]
        return cast(list[str], super().get_ordering(request, queryset))


def last_id() -> int:
    """About the id of the latest event, without looking at the table."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ID)
        (last,) = cursor.fetchone()
    return int(last or 0)


@admin.register(UsageEvent)
class UsageEventAdmin(LargeTableAdmin):
    """Events as they were counted, each with its price and its place in the chain."""

    list_display = (
        "idempotency_key",
        "tenant",
        "customer",
        "metric",
        "unit",
        "used",
        "earned",
        "occurred_at",
        "late",
        "running_total_id",
        "position",
    )
    list_filter = (TenantIdFilter, "late")
    search_fields = ("=idempotency_key", "^metric", "=batch_id")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": _OWN}),
        ("Where it came from", {"fields": ("origin",)}),
        ("Gates", {"fields": ("gates",)}),
        ("Enrichment", {"fields": ("enrichment",)}),
        ("Routing and price", {"fields": ("routing",)}),
        ("Proof", {"fields": ("proof",)}),
        ("Corrections", {"fields": ("corrections",)}),
        ("As it was sent", {"fields": ("raw",)}),
    )
    readonly_fields = ("tenant", "customer", "unit", "used", "readable_metadata", *_CHAIN)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(try_page)
        return [path("try", page, name="metering_try_event"), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EventList]:
        return EventList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = (
            super()
            .get_queryset(request)
            .annotate(unit_name=unit_name(), customer_name=customer_name())
        )
        return cast(QuerySet[Any], rows)

    @display(description="customer")
    def customer(self, event: Any) -> str:
        return event.customer_name or ""

    @display(description="unit")
    def unit(self, event: Any) -> str:
        return event.unit_name or ""

    @display(description="quantity")
    def used(self, event: UsageEvent) -> str:
        return plain(event.quantity)

    @display(description="revenue")
    def earned(self, event: UsageEvent) -> str:
        return plain(event.revenue)

    @display(description="metadata")
    def readable_metadata(self, event: UsageEvent) -> SafeString | str:
        return as_json(event.metadata)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """The event with its chain, read once for all of its tables."""
        event = super().get_object(request, object_id, from_field)
        if event is not None:
            event.chain = provenance_of(event, tenant=Tenant.objects.get(pk=event.tenant_id))
        return event

    @display(description="origin")
    def origin(self, event: Any) -> SafeString:
        return chain.origin(event.chain)

    @display(description="gates")
    def gates(self, event: Any) -> SafeString:
        return chain.gates(event.chain)

    @display(description="enrichment")
    def enrichment(self, event: Any) -> SafeString:
        return chain.enrichment(event.chain)

    @display(description="routing")
    def routing(self, event: Any) -> SafeString:
        return chain.routing(event.chain)

    @display(description="proof")
    def proof(self, event: Any) -> SafeString:
        return chain.proof(event.chain)

    @display(description="corrections")
    def corrections(self, event: Any) -> SafeString:
        return chain.corrections(event.chain)

    @display(description="raw event")
    def raw(self, event: Any) -> SafeString | str:
        return as_json(event.chain.raw) or "not kept any more"


@admin.register(EventKey)
class EventKeyAdmin(LargeTableAdmin):
    """Keys that have counted, as hashes: search for an idempotency key to see whether it has."""

    list_display = ("k", "body")
    search_fields = ("k",)
    search_help_text = "a whole idempotency key, or the hash of one"
    ordering = ("k",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return EventKey.objects.all()  # any tenant: a hash says nothing to who cannot make it

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset if is_superuser(request) else queryset.none(), False
        hashes = [UUID(hash_of(tenant_id, search_term)) for tenant_id in tenant_ids_of(request)]
        return queryset.filter(k__in=[*hashes, *_as_hash(search_term)]), False

    def may_read(self, request: HttpRequest, row: Any = None) -> bool:
        return super().may_read(request)


def _as_hash(term: str) -> list[UUID]:
    try:
        return [UUID(term)]
    except ValueError:
        return []
