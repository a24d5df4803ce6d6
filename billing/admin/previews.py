"""The page that shows what the invoice of a running period would be now."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_base import is_superuser, roles_of, tenant_ids_of
from billing.admin.explained import drafted_lines, money, shown_stages
from billing.pipeline import StageFailed
from billing.services.previews import Preview, preview_invoice
from catalog.models import Subscription


def subscription_preview(request: HttpRequest, subscription_id: UUID) -> HttpResponse:
    """All ten stages over the running period as its totals stand; nothing is written."""
    if not (is_superuser(request) or roles_of(request)):
        raise PermissionDenied
    rows = Subscription.objects.filter(tenant_id__in=tenant_ids_of(request))  # any tenant: own
    known = rows.select_related("tenant", "customer", "offering")
    subscription = known.filter(pk=subscription_id).first()
    if subscription is None:
        raise Http404
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Running period of {subscription}",
        "subscription": subscription,
    }
    try:
        preview = preview_invoice(subscription=subscription, now=clock.now(subscription.tenant))
    except (AforoError, StageFailed) as refusal:
        context["fault"] = getattr(refusal, "detail", str(refusal))
    else:
        context |= _shown(preview)
    return TemplateResponse(request, "billing/preview.html", context)


def _shown(preview: Preview) -> dict[str, object]:
    draft, currency = preview.result.draft, preview.facts.currency
    lines = drafted_lines(draft.lines, currency)
    facts = preview.facts
    return {
        "cards": [
            ("Total as it stands", money(draft.total(), currency)),
            ("Period", f"{facts.period_start:%Y-%m-%d} to {facts.period_end:%Y-%m-%d}"),
            ("Read at", f"{preview.at:%Y-%m-%d %H:%M} UTC"),
            ("Tax", "asked of the engine later" if draft.tax_pending else "settled"),
        ],
        "lines": [line for line in lines if not line.is_tax],
        "taxes": [line for line in lines if line.is_tax],
        "stages": shown_stages(preview.stages),
    }
