"""The page of margins: what running periods bring in and cost, and by whom."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from aforo.money import plain, round_to_minor
from aforo.tenancy import clock
from metering.admin.monitoring import REFRESH_SECONDS, chosen, own_tenants
from metering.margin.arithmetic import Margin
from metering.margin.view import GroupBy, MarginView, margins

MOST_ROWS = 100
_GROUPS: Mapping[GroupBy, str] = {
    GroupBy.CUSTOMER: "Customers",
    GroupBy.PRODUCT: "Products",
    GroupBy.METRIC: "Billable units",
    GroupBy.PLAN: "Plans",
    GroupBy.START_MONTH: "Months of start",
    GroupBy.TAG: "Tags",
}


def margins_page(request: HttpRequest) -> HttpResponse:
    """Margins of one tenant by one kind of group, the least profit first."""
    about = admin.site.each_context(request) | {"title": "Margins"}
    tenants = own_tenants(request)
    if not tenants:
        return TemplateResponse(request, "metering/no_tenant.html", about)
    tenant = chosen(request, tenants)
    now, by = clock.now(tenant), _chosen_group(request)
    whole = margins(tenant, by=GroupBy.TENANT, now=now)
    found = margins(tenant, by=by, now=now)
    context = about | {
        "tenant": tenant,
        "tenants": tenants,
        "refresh": REFRESH_SECONDS,
        "as_of": now,
        "cards": [_card(row.currency, row.margin) for row in whole.rows],
        "by": by.value,
        "groups": [(one.value, name) for one, name in _GROUPS.items()],
        "table": _table(by, found),
        "left_out": max(0, len(found.rows) - MOST_ROWS),
        "unmatched": [
            f"{plain(amount)} {currency}" for currency, amount in found.unmatched.items()
        ],
    }
    return TemplateResponse(request, "metering/margins.html", context)


def _chosen_group(request: HttpRequest) -> GroupBy:
    asked = request.GET.get("by", "")
    return GroupBy(asked) if asked in set(_GROUPS) else GroupBy.CUSTOMER


def _card(currency: str, margin: Margin) -> dict[str, str]:
    revenue, cost, _ = _figures(currency, margin)
    note = f"{revenue} of revenue, {cost} of cost"
    return {"title": f"Margin in {currency}", "figure": margin.shown, "note": note, "link": ""}


def _table(by: GroupBy, found: MarginView) -> dict[str, list[Any]]:
    return {
        "headers": [_GROUPS[by], "Revenue", "Cost", "Profit", "Margin"],
        "rows": [
            [row.label or "(none)", *_figures(row.currency, row.margin), row.margin.shown]
            for row in found.rows[:MOST_ROWS]
        ],
    }


def _figures(currency: str, margin: Margin) -> list[str]:
    amounts = (margin.revenue, margin.cost, margin.profit)
    return [f"{round_to_minor(amount, currency):,f} {currency}" for amount in amounts]
