"""Margin guards, whom they hold, what they decided, and the tags that make cohorts."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from aforo.money import plain
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, become, plainly
from aforo.tenancy.roles import CATALOG_WRITERS, WRITERS
from catalog.admin.base import CatalogAdmin
from metering.admin.guard_forms import GuardForm
from metering.models import CustomerTag, GuardDecision, MarginGuard, MarginState
from metering.services import guards

_COLOURS = {"NONE": "success", "L1_ALERT": "info", "L2_THROTTLE": "warning", "L3_BLOCK": "danger"}
_HELD = Count("states", filter=~Q(states__level="NONE"))


@admin.register(MarginGuard)
class MarginGuardAdmin(CatalogAdmin):
    """Who is told of, throttled or blocked when a customer costs more than they bring in."""

    form = GuardForm
    write_roles = CATALOG_WRITERS | WRITERS
    list_display = ("code", "tenant", "unit", "whom", "mode", "levels", "held", "is_active")
    list_select_related = ("tenant", "unit", "rate_plan", "customer")
    list_filter = (
        TenantFilter,
        "mode",
        "scope",
        "is_active",
        ("archived_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("code", "name")
    autocomplete_fields = ("tenant", "unit", "rate_plan", "customer")
    fieldsets = (
        (None, {"fields": ("tenant", "code", "name", "is_active")}),
        (
            "Whom it looks at",
            {
                "fields": ("unit", "scope", "rate_plan", "customer", "cohort", "cohort_value"),
                "description": (
                    "Each customer in the scope is judged alone; the plan, customer or cohort is "
                    "asked for once the scope is chosen."
                ),
            },
        ),
        (
            "What it does",
            {
                "fields": ("mode", "warn_below", "throttle_below", "block_below", "floors_by_plan"),
                "description": (
                    "ENFORCE: below the first percentage people are told, below the second "
                    "gateways throttle, below the third they refuse with 429. ALERT_ONLY: people "
                    "are told of all three, and every request passes. Begin with ALERT_ONLY when "
                    "costs are not complete yet: a guard that blocks by half of the costs is "
                    "wrong in nobody's favour."
                ),
            },
        ),
        ("How", {"fields": ("throttle_rate", "requests_per_second", "retry_after", "cost_floor")}),
        (
            "Who is told",
            {"fields": ("warn_channels", "throttle_channels", "block_channels")},
        ),
        ("Rehearsal", {"fields": ("rehearsal",)}),
    )
    conditional_fields = {
        "rate_plan": "scope == 'PLAN'",
        "customer": "scope == 'CUSTOMER'",
        "cohort": "scope == 'COHORT'",
        "cohort_value": "scope == 'COHORT'",
    }
    actions = ("archive",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[MarginGuard]:
        rows: QuerySet[MarginGuard] = super().get_queryset(request)
        return rows.annotate(held_now=_HELD)

    @display(description="whom")
    def whom(self, guard: MarginGuard) -> str:
        named = guard.rate_plan or guard.customer or guard.cohort_value
        return f"{guard.get_scope_display()}{f': {named}' if named else ''}"

    @display(description="warns / throttles / blocks below")
    def levels(self, guard: MarginGuard) -> str:
        levels = (guard.warn_below, guard.throttle_below, guard.block_below)
        return " / ".join(map(plain, levels)) + " %"

    @display(description="customers held", ordering="held_now")
    def held(self, guard: MarginGuard) -> int:
        return int(getattr(guard, "held_now", 0))

    def save_model(self, request: HttpRequest, obj: MarginGuard, form: Any, change: bool) -> None:
        doing = self.doer(request, obj.tenant)
        floors = form.cleaned_data["floors"]
        if change:
            changed = set(form.changed_data) & set(guards.EDITABLE)
            edits = {name: form.cleaned_data[name] for name in changed}
            saved = guards.edit_guard(guard=obj, edits=edits, floors=floors, **doing)
        else:
            saved = guards.create_guard(guard=obj, floors=floors, **doing)
        become(obj, saved)

    @admin.action(description="Retire", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[MarginGuard]) -> None:
        self.act(
            request,
            queryset.select_related("tenant"),
            lambda guard, doing: guards.archive_guard(guard=guard, **doing),
            "guards retired",
        )


class _Numbers(ReadOnlyAdmin):
    list_select_related = ("tenant", "guard", "customer")
    search_fields = ("customer__external_id", "guard__code")
    exclude = ("revenue", "cost", "percent")
    readonly_fields = ("earned", "spent", "left")

    @display(description="revenue")
    def earned(self, row: Any) -> str:
        return f"{plain(row.revenue)} {row.currency}"

    @display(description="cost")
    def spent(self, row: Any) -> str:
        return f"{plain(row.cost)} {row.currency}"

    @display(description="margin")
    def left(self, row: Any) -> str:
        return f"{plainly('percent')(row)} %" if row.percent is not None else "no revenue"

    @display(description="level", label=_COLOURS)
    def now_at(self, row: Any) -> str:
        return str(row.level)


@admin.register(MarginState)
class MarginStateAdmin(_Numbers):
    """Customers whom a guard has held, and where they stand."""

    list_display = (
        "customer",
        "tenant",
        "guard",
        "now_at",
        "reason",
        "earned",
        "spent",
        "left",
        "since",
    )
    list_filter = (TenantFilter, "level", "reason")


@admin.register(GuardDecision)
class GuardDecisionAdmin(_Numbers):
    """Every decision that was no plain yes, with its numbers."""

    list_display = (
        "decided_at",
        "tenant",
        "guard",
        "customer",
        "before",
        "now_at",
        "reason",
        "mode",
        "earned",
        "spent",
        "left",
    )
    list_filter = (TenantFilter, "level", "reason", "mode")


@admin.register(CustomerTag)
class CustomerTagAdmin(CatalogAdmin):
    """Words that put customers into cohorts."""

    write_roles = CATALOG_WRITERS | WRITERS
    list_display = ("tag", "customer", "tenant", "created_at")
    list_select_related = ("tenant", "customer")
    list_filter = (TenantFilter,)
    search_fields = ("tag", "customer__external_id")
    autocomplete_fields = ("tenant", "customer")
    fields = ("tenant", "customer", "tag")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else self.fields

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write(request, obj)

    def save_model(self, request: HttpRequest, obj: CustomerTag, form: Any, change: bool) -> None:
        if change:
            return
        doing = self.doer(request, obj.tenant)
        guards.change_tags(customer=obj.customer, added=[obj.tag], **doing)
        rows = CustomerTag.objects.for_tenant(obj.tenant_id).filter(customer=obj.customer)
        become(obj, rows.get(tag=obj.tag.strip()))

    def delete_model(self, request: HttpRequest, obj: CustomerTag) -> None:
        doing = self.doer(request, obj.tenant)
        guards.change_tags(customer=obj.customer, removed=[obj.tag], **doing)
