"""Alerts in the admin: their evidence as numbers and a chart, and the reason they were seen to."""

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from aforo.tenancy.roles import ALERT_WRITERS
from metering.admin.base import BoundedPaginator
from metering.admin.held import ReasonForm
from metering.models import Alert, Severity
from metering.services.alerts import acknowledge_alert

_SEVERITIES = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "danger",
}
_STATES = {Alert.State.OPEN: "warning", Alert.State.RECOVERED: "success"}
CHART_OPTIONS = json.dumps(
    {
        "animation": False,
        "maintainAspectRatio": False,
        "plugins": {"legend": {"display": False}},
        "scales": {
            "x": {"grid": {"display": False}, "ticks": {"maxTicksLimit": 13, "maxRotation": 0}},
            "y": {"beginAtZero": True},
        },
    }
)


_FIRST = ("currency", "revenue", "cost", "marginPercent", "floorPercent", "level", "before")
_CAPITAL = re.compile(r"(?=[A-Z])")


def spoken(numbers: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Numbers of evidence as people read them: in words, without ids and what is not there."""
    rank = {name: place for place, name in enumerate(_FIRST)}
    names = sorted(numbers, key=lambda name: (rank.get(name, len(rank)), name))
    return [
        (" ".join(_CAPITAL.split(name)).lower(), numbers[name])
        for name in names
        if numbers[name] is not None and not (name.endswith("Id") and name != "customerId")
    ]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What monitors and guards found."""

    write_roles = ALERT_WRITERS
    list_display = (
        "title",
        "tenant",
        "kind",
        "importance",
        "status",
        "customer",
        "unit",
        "raised_at",
        "last_seen_at",
        "acknowledged_by",
    )
    list_select_related = ("tenant", "customer", "unit")
    list_filter = (
        TenantFilter,
        "state",
        "kind",
        "severity",
        ("acknowledged_at", admin.EmptyFieldListFilter),
        ("raised_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("^title", "=customer__external_id", "=unit__name", "=subject")
    ordering = ("-id",)  # ids rise with time
    paginator = BoundedPaginator
    fields = (
        "title",
        "tenant",
        "kind",
        "importance",
        "status",
        "customer",
        "unit",
        "numbers",
        "chart",
        "events",
        "costs",
        "raised_at",
        "last_seen_at",
        "occurrences",
        "recovered_at",
        "acknowledged_at",
        "acknowledged_by",
        "reason",
    )
    readonly_fields = ("importance", "status", "numbers", "chart", "events", "costs")
    actions = ("acknowledge",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.acknowledge_view)
        own = path("acknowledge/", view, name="metering_alert_acknowledge")
        return [own, *super().get_urls()]

    @display(description="severity", label=_SEVERITIES, ordering="severity")
    def importance(self, alert: Alert) -> str:
        return alert.severity

    @display(description="state", label=_STATES, ordering="state")
    def status(self, alert: Alert) -> str:
        return alert.state

    @display(description="numbers")
    def numbers(self, alert: Alert) -> SafeString:
        rows = spoken(alert.evidence.get("numbers") or {})
        return format_html_join("", '<p><span class="font-semibold">{}</span>: {}</p>', rows)

    @display(description="chart")
    def chart(self, alert: Alert) -> str:
        found: Mapping[str, Any] = alert.evidence.get("chart") or {}
        return chart_of(found) if found else ""

    @display(description="events")
    def events(self, alert: Alert) -> SafeString | str:
        found: Mapping[str, Any] = alert.evidence.get("events") or {}
        if not found:
            return ""
        page = reverse("admin:metering_usageevent_changelist")
        customer = alert.customer.external_id if alert.customer else ""
        return format_html(
            '<a class="font-semibold" href="{}?tenant={}&customer={}">{} events</a>, ids {} to {}',
            page,
            alert.tenant.slug,
            customer,
            f"{found['count']:,}",
            found["firstId"],
            found["lastId"],
        )

    @display(description="reported costs")
    def costs(self, alert: Alert) -> SafeString | str:
        found: Mapping[str, Any] = alert.evidence.get("costs") or {}
        if not found:
            return ""
        page = reverse("admin:metering_costevent_change", args=[found["lastId"]])
        said = '<a class="font-semibold" href="{}">The latest</a> of {} since the periods began'
        return format_html(said, page, f"{found['count']:,}")

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Acknowledge: somebody sees to it", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> HttpResponse:
        return self._ask(request, queryset, ReasonForm())

    def acknowledge_view(self, request: HttpRequest) -> HttpResponse:
        """Acknowledge what was ticked, once a reason is given."""
        if request.method != "POST":
            raise Http404
        if not self.may_write(request):
            raise PermissionDenied
        rows = self.get_queryset(request).filter(pk__in=_ids(request.POST.get("ids", "")))
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return self._ask(request, rows, form)
        own = [alert for alert in rows if self.may_write(request, alert)]
        for alert in own:
            acknowledge_alert(
                alert=alert,
                actor=actor_of(request, alert.tenant_id),
                reason=form.cleaned_data["reason"],
                now=clock.now(alert.tenant),
            )
        self.message_user(request, f"{len(own)} acknowledged.", messages.SUCCESS)
        return redirect("admin:metering_alert_changelist")

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[Alert], form: ReasonForm
    ) -> HttpResponse:
        waiting = queryset.filter(acknowledged_at=None).order_by("pk")
        ids = list(waiting.values_list("pk", flat=True))
        if not ids:
            self.message_user(request, "All of it is acknowledged already.", messages.ERROR)
            return redirect("admin:metering_alert_changelist")
        return self.page(
            request,
            "metering/alerts_acknowledge.html",
            "Acknowledge alerts",
            ids=" ".join(map(str, ids)),
            count=len(ids),
            form=form,
        )


def chart_of(found: Mapping[str, Any]) -> str:
    """Bars of `{labels, values}`; with a `highlight`, that one stands out."""
    values = found["values"]
    colours = ["var(--color-primary-600)"] * len(values)
    if (marked := found.get("highlight")) is not None:
        colours[marked] = "var(--color-red-500)"
    chart = {
        "labels": found["labels"],
        "datasets": [{"label": "quantity", "data": values, "backgroundColor": colours}],
    }
    context = {"chart": json.dumps(chart), "options": CHART_OPTIONS}
    return render_to_string("metering/alert_chart.html", context)


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(one) for one in text.split()]
    except ValueError:
        raise Http404 from None
