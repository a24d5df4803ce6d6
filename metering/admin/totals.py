"""Running totals: how much of what, at what price so far, and the values that UNIQUE has seen."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from aforo.money import plain
from aforo.tenancy.admin_base import is_superuser, role_in, roles_of
from catalog.models import Subscription
from metering.admin.base import LargeTableAdmin, TenantIdFilter, unit_name
from metering.models import RatingAdjustment, RunningTotal, UniqueValue


@admin.register(RunningTotal)
class RunningTotalAdmin(LargeTableAdmin):
    """Usage of one unit in one period of one subscription, as every price is computed from it."""

    list_display = (
        "__str__",
        "tenant",
        "customer",
        "unit",
        "used",
        "event_count",
        "earned",
        "position",
        "billed_position",
        "its_events",
    )
    list_filter = (TenantIdFilter, ("billed_position", admin.EmptyFieldListFilter))
    search_fields = ("=id", "=subscription_id", "=period_id", "=unit_id")
    ordering = ("-id",)
    exclude = ("digest", "quantity", "revenue", "cost")
    readonly_fields = ("used", "earned", "spent", "sha256", "its_events")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        subscriptions = Subscription.objects.filter(  # any tenant: an id of the row
            pk=OuterRef("subscription_id")
        )
        rows = (
            super()
            .get_queryset(request)
            .annotate(
                unit_name=unit_name(),
                customer_name=Subquery(subscriptions.values("customer__external_id")),
            )
        )
        return cast(QuerySet[Any], rows)

    @display(description="customer")
    def customer(self, total: Any) -> str:
        return str(total.customer_name)

    @display(description="unit")
    def unit(self, total: Any) -> str:
        return str(total.unit_name)

    @display(description="quantity", ordering="quantity")
    def used(self, total: RunningTotal) -> str:
        return plain(total.quantity)

    @display(description="revenue", ordering="revenue")
    def earned(self, total: RunningTotal) -> str:
        return plain(total.revenue)

    @display(description="cost", ordering="cost")
    def spent(self, total: RunningTotal) -> str:
        return plain(total.cost)

    @display(description="digest")
    def sha256(self, total: RunningTotal) -> str:
        return bytes(total.digest).hex()

    @display(description="events")
    def its_events(self, total: RunningTotal) -> SafeString:
        listed = reverse("admin:metering_usageevent_changelist")
        return format_html('<a href="{}?running_total_id={}">events</a>', listed, total.pk)


@admin.register(UniqueValue)
class UniqueValueAdmin(LargeTableAdmin):
    """Hashes of the distinct values of a UNIQUE total: look for one by its total."""

    list_display = ("value", "running_total_id")
    list_filter = ()
    search_fields = ("=running_total_id", "=value")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = UniqueValue.objects.all()  # any tenant: narrowed below
        if is_superuser(request):
            return rows
        totals = RunningTotal.objects.filter(  # any tenant: those of the asker's own
            tenant_id__in=list(roles_of(request))
        )
        return rows.filter(running_total_id__in=totals.values("id"))

    def may_read(self, request: HttpRequest, row: Any = None) -> bool:
        if row is None:
            return super().may_read(request)
        owner = RunningTotal.objects.get(pk=row.running_total_id)  # any tenant: asked for its role
        return bool(role_in(request, owner.tenant_id))


@admin.register(RatingAdjustment)
class RatingAdjustmentAdmin(LargeTableAdmin):
    """Changes of what a total owes that no event brought."""

    list_display = ("__str__", "tenant", "exact_amount", "reason", "created_at")
    list_filter = (TenantIdFilter,)
    list_select_related = ("running_total",)
    search_fields = ("=running_total__id", "reason")
    ordering = ("-id",)
    exclude = ("amount",)
    readonly_fields = ("exact_amount",)

    @display(description="amount", ordering="amount")
    def exact_amount(self, adjustment: RatingAdjustment) -> str:
        return plain(adjustment.amount)
