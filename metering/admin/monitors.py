"""How watchful monitors are, and how usage spreads over the tiers of plans."""

from typing import Any

from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from aforo.money import plain
from aforo.tenancy import clock
from aforo.tenancy.admin_base import (
    ReadOnlyAdmin,
    TenantFilter,
    TenantScopedAdmin,
    actor_of,
    become,
)
from metering.admin.alerts import chart_of
from metering.models import MonitorSettings, UnitHealth
from metering.selectors.unit_health import told_tier
from metering.services.monitor_settings import FIELDS, set_monitors

_STATES = {UnitHealth.Status.HEALTHY: "success", UnitHealth.Status.NO_DATA: "warning"}


@admin.register(MonitorSettings)
class MonitorSettingsAdmin(TenantScopedAdmin):
    """A tenant without a row here has the values that the empty form shows."""

    list_display = ("tenant", "sigma", "baseline_days", "drop_percent", "updated_at")
    list_select_related = ("tenant",)
    list_filter = (TenantFilter,)
    search_fields = ("tenant__slug", "tenant__name")
    autocomplete_fields = ("tenant",)
    fieldsets = (
        (None, {"fields": ("tenant",)}),
        (
            "Unusual hours",
            {"fields": ("sigma", "baseline_days", "minimum_samples", "flat_percent")},
        ),
        ("Weekly drops", {"fields": ("drop_percent", "drop_minimum_events")}),
        ("Allowances", {"fields": ("pacing_thresholds", "pacing_from_percent")}),
    )
    formfield_overrides = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        kept = set_monitors(
            tenant=obj.tenant,
            fields={name: getattr(obj, name) for name in FIELDS},
            actor=actor_of(request, obj.tenant),
            now=clock.now(obj.tenant),
        )
        become(obj, kept)


@admin.register(UnitHealth)
class UnitHealthAdmin(ReadOnlyAdmin):
    """Usage of the open periods over the tiers that price it, taken anew each hour."""

    list_display = (
        "unit",
        "version",
        "tenant",
        "state",
        "used",
        "subscriptions",
        "customers",
        "last_event_at",
        "as_of",
    )
    list_select_related = ("tenant", "unit", "version__rate_plan")
    list_filter = (TenantFilter, "status")
    search_fields = ("unit__name", "version__rate_plan__name")
    fields = (
        "unit",
        "version",
        "tenant",
        "state",
        "used",
        "subscriptions",
        "customers",
        "histogram",
        "shares",
        "last_event_at",
        "as_of",
    )
    readonly_fields = ("state", "used", "histogram", "shares")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @display(description="state", label=_STATES, ordering="status")
    def state(self, health: UnitHealth) -> str:
        return health.status

    @display(description="quantity", ordering="quantity")
    def used(self, health: UnitHealth) -> str:
        return plain(health.quantity)

    @display(description="customers per tier")
    def histogram(self, health: UnitHealth) -> str:
        if not health.tiers:
            return ""
        labels = [_span(tier) for tier in health.tiers]
        return chart_of({"labels": labels, "values": [t["customers"] for t in health.tiers]})

    @display(description="shares")
    def shares(self, health: UnitHealth) -> SafeString:
        told = [(_span(tier), told_tier(tier, health)) for tier in health.tiers]
        rows = (
            (span, one["percentOfCustomers"] or 0, one["percentOfUnits"] or 0) for span, one in told
        )
        line = "<p>{}: {} % of customers, {} % of units</p>"
        return format_html("{}", format_html_join("", line, rows))


def _span(tier: dict[str, Any]) -> str:
    return f"above {tier['from']}" if tier["to"] is None else f"{tier['from']} to {tier['to']}"
