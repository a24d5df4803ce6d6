"""What the pages of metering share: tables that are only read, and never counted to the end."""

from functools import cached_property
from typing import Any, cast

import msgspec
from django.contrib.admin import AllValuesFieldListFilter
from django.core.paginator import Paginator
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, Customer

MOST_LISTED = 10_000  # nobody leafs further; counting ten million rows takes seconds


class BoundedPaginator(Paginator):
    """Counts as far as anybody leafs, and no further."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # of a change list
        return rows.order_by().values("pk")[:MOST_LISTED].count()


class TenantIdFilter(TenantFilter):
    """By tenant, for tables that hold its bare id."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(tenant_id__in=Tenant.objects.filter(slug=self.value()).values("pk"))


class RecentValuesFilter(AllValuesFieldListFilter):
    """By the values that the latest rows have: all values of a large table take all of its rows."""

    def __init__(self, field: Any, *found: Any, **named: Any) -> None:
        super().__init__(field, *found, **named)
        rows = field.model.objects.order_by("-pk")  # any tenant: codes and sources tell nothing
        latest = set(rows.values_list(field.name, flat=True)[:MOST_LISTED])
        self.lookup_choices: Any = sorted(latest)


class LargeTableAdmin(ReadOnlyAdmin):
    """A table that grows with traffic. `tenant_lookup` is its bare column, without foreign key."""

    tenant_lookup = "tenant_id"
    paginator = BoundedPaginator

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        slugs = Tenant.objects.filter(pk=OuterRef("tenant_id")).values("slug")
        rows = super().get_queryset(request).annotate(slug=Subquery(slugs))
        return cast(QuerySet[Any], rows)

    @display(description="tenant")
    def tenant(self, row: Any) -> str:
        return str(row.slug)


def unit_name() -> Subquery:
    """The name of the billable unit whose bare id a row holds."""
    units = BillableUnit.objects.filter(pk=OuterRef("unit_id"))  # any tenant: an id of the row
    return Subquery(units.values("name"))


def customer_name() -> Subquery:
    """The external id of the customer whose bare id a row holds."""
    customers = Customer.objects.filter(pk=OuterRef("customer_id"))  # any tenant: likewise
    return Subquery(customers.values("external_id"))


def as_json(stored: bytes | memoryview | str | None) -> SafeString | str:
    """JSON as people read it, or the bytes when it is none."""
    return format_html("<pre>{}</pre>", json_text(stored)) if stored else ""


def json_text(stored: bytes | memoryview | str) -> str:
    """JSON indented, or the bytes as text when it is none."""
    raw = stored.encode() if isinstance(stored, str) else bytes(stored)
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return raw.decode(errors="replace")
