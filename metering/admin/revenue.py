"""The page of live revenue: what usage brings in now, and for whom."""

import json
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from aforo.money import round_to_minor
from metering.admin.alerts import CHART_OPTIONS
from metering.admin.monitoring import REFRESH_SECONDS, chosen, own_tenants
from metering.selectors.revenue import HOUR, LiveRevenue, Revenue
from metering.selectors.revenue_groups import GroupBy
from metering.selectors.revenue_kept import revenue_told

MOST_ROWS = 50
_GROUPS = {
    GroupBy.CUSTOMER: "Customers",
    GroupBy.PRODUCT: "Products",
    GroupBy.METRIC: "Billable units",
    GroupBy.OFFERING: "Offerings",
    GroupBy.START_MONTH: "Months of start",
    GroupBy.TAG: "Tags",
}


def revenue_page(request: HttpRequest) -> HttpResponse:
    """Today, this period and its projection, of one tenant and by one kind of group."""
    about = admin.site.each_context(request) | {"title": "Live revenue"}
    tenants = own_tenants(request)
    if not tenants:
        return TemplateResponse(request, "metering/no_tenant.html", about)
    tenant, now = chosen(request, tenants), timezone.now()
    by, zone = _chosen_group(request), ZoneInfo(tenant.time_zone)
    whole = revenue_told(tenant=tenant, now=now, by=GroupBy.TENANT)
    groups = revenue_told(tenant=tenant, now=now, by=by, most=MOST_ROWS)
    context = about | {
        "tenant": tenant,
        "tenants": tenants,
        "refresh": REFRESH_SECONDS,
        "as_of": whole.as_of,
        "currencies": [
            {"cards": _cards(row), "chart": _chart(row, whole, zone), "currency": row.currency}
            for row in whole.rows
        ],
        "chart_options": CHART_OPTIONS,
        "by": by.value,
        "groups": [(one.value, name) for one, name in _GROUPS.items()],
        "table": _table(by, groups),
        "left_out": groups.total - len(groups.rows),
    }
    return TemplateResponse(request, "metering/revenue.html", context)


def _chosen_group(request: HttpRequest) -> GroupBy:
    asked = request.GET.get("by", "")
    return GroupBy(asked) if asked in set(_GROUPS) else GroupBy.CUSTOMER


def _cards(row: Revenue) -> list[dict[str, str]]:
    return [
        _card("Today", _money(row, "today"), f"{_money(row, 'yesterday')} yesterday by now"),
        _card(
            "This period", _money(row, "period"), f"{_money(row, 'last_period')} the last by now"
        ),
        _card("At the end of the period", _projected(row), _NOTES[row.is_upper_bound]),
    ]


_NOTES = {
    True: "at most, if usage goes on as it does: tiers make it cheaper on the way",
    False: "if usage goes on as it does",
}


def _card(title: str, figure: str, note: str) -> dict[str, str]:
    return {"title": title, "figure": figure, "note": note, "link": ""}


def _money(row: Revenue, name: str) -> str:
    return f"{round_to_minor(getattr(row, name), row.currency):,} {row.currency}"


def _projected(row: Revenue) -> str:
    return f"{'≤ ' if row.is_upper_bound else ''}{_money(row, 'projection')}"


def _chart(row: Revenue, found: LiveRevenue, zone: ZoneInfo) -> str:
    """Hours are those of UTC: in some zones they begin at the half."""
    hours = [
        (found.first_hour + number * HOUR).astimezone(zone) for number in range(len(row.hours))
    ]
    line = {
        "label": row.currency,
        "data": [str(round_to_minor(amount, row.currency)) for amount in row.hours],
        "borderColor": "var(--color-primary-600)",
    }
    return json.dumps({"labels": [f"{hour:%H:%M}" for hour in hours], "datasets": [line]})


def _table(by: GroupBy, found: LiveRevenue) -> dict[str, list[Any]]:
    figures = ["Today", "Yesterday by now", "This period", "Last by now", "Projection"]
    return {
        "headers": [_GROUPS[by], *figures],
        "rows": [
            [
                row.label or "(none)",
                _money(row, "today"),
                _money(row, "yesterday"),
                _money(row, "period"),
                _money(row, "last_period"),
                _projected(row),
            ]
            for row in found.rows
        ],
    }
