"""The page that shows what a draft version would change for whom, before it is published."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from aforo.errors import AforoError
from aforo.money import Money
from aforo.tenancy import clock
from aforo.tenancy.admin_base import is_superuser, roles_of, tenant_ids_of
from billing.services.plan_comparison import Change, Comparison, compare
from catalog.models import RatePlanVersion
from catalog.pricing.dimensions import label_of

MOST = 200  # changes on the page; the sums are of all


def plan_comparison(request: HttpRequest, version_id: UUID) -> HttpResponse:
    """Latest usage at the published prices and at the draft's, the largest differences first."""
    if not (is_superuser(request) or roles_of(request)):
        raise PermissionDenied
    rows = RatePlanVersion.objects.filter(tenant_id__in=tenant_ids_of(request))  # any tenant: own
    version = rows.select_related("tenant", "rate_plan").filter(pk=version_id).first()
    if version is None:
        raise Http404
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"What {version} would change",
        "version": version,
    }
    try:
        compared = compare(version, now=clock.now(version.tenant))
    except AforoError as error:
        context["fault"] = error.detail
    else:
        context |= _shown(compared, version.rate_plan.currency)
    return TemplateResponse(request, "billing/plan_comparison.html", context)


_HEADERS = ["Customer", "Billable unit", "Quantity", "As it is", "As it would be", "Change"]


def _shown(compared: Comparison | None, currency: str) -> dict[str, object]:
    if compared is None:
        return {"fault": "no version of this plan is published yet to compare with"}
    changed = [change for change in compared.changes if change.difference]
    return {
        "cards": [
            ("Subscriptions", str(compared.subscriptions)),
            ("As it is", _money(compared.before, currency)),
            ("As it would be", _money(compared.after, currency)),
            ("Usage that costs another amount", f"{len(changed)} of {len(compared.changes)}"),
        ],
        "table": {
            "headers": [
                "Customer",
                "Billable unit",
                "Quantity",
                "As it is",
                "As it would be",
                "Change",
            ],
            "rows": [_row(change, currency) for change in compared.changes[:MOST]],
        },
    }


def _row(change: Change, currency: str) -> list[str]:
    unit = f"{change.unit}, {label_of(change.dimension)}" if change.dimension else change.unit
    return [
        change.customer,
        unit,
        f"{change.quantity.normalize():,f}",
        _money(change.before, currency),
        _money(change.after, currency),
        _signed(change, currency),
    ]


def _signed(change: Change, currency: str) -> str:
    sign = "+" if change.difference > 0 else ""
    return f"{sign}{_money(change.difference, currency)}" if change.difference else ""


def _money(amount: Any, currency: str) -> str:
    return str(Money(amount, currency).rounded())
