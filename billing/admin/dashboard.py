"""The first page of the admin: a few figures, and the latest invoices."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.money import minor_units
from aforo.tenancy.admin_base import tenant_ids_of
from billing.models import Invoice
from billing.selectors.open_invoices import OpenInvoices, open_invoices_of
from metering.selectors.today import Today, today_of

LATEST = 8
Card = dict[str, str]


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What `templates/admin/index.html` shows, of the tenants that whoever asks may see."""
    tenant_ids = tenant_ids_of(request)
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today = today_of(tenant_ids, since=midnight)
    return context | {
        "title": "Overview",
        "cards": [*_metering_cards(today), _billing_card(open_invoices_of(tenant_ids))],
        "latest": _latest(tenant_ids),
    }


def _metering_cards(today: Today) -> list[Card]:
    waiting = f", {today.waiting:,} still in the inbox" if today.waiting else ""
    return [
        _card(
            "Events today",
            today.events,
            f"{today.duplicates:,} duplicates{waiting}",
            reverse("admin:metering_receipt_changelist"),
        ),
        _card(
            "Open dead letters",
            today.dead_letters,
            "refused, kept whole" if today.dead_letters else "nothing was refused",
            reverse("admin:metering_deadletter_changelist") + "?status__exact=OPEN",
        ),
        _card(
            "Held events",
            today.held,
            "late, of billed periods" if today.held else "nothing waits for a decision",
            reverse("admin:metering_heldevent_changelist") + "?status__exact=WAITING",
        ),
    ]


def _billing_card(found: list[OpenInvoices]) -> Card:
    sums = "; ".join(
        f"{_money(one.total, one.currency)}{' in sandboxes' if one.is_sandbox else ''}"
        for one in found
    )
    return _card(
        "Open invoices",
        sum(one.count for one in found),
        sums or "nothing is owed",
        reverse("admin:billing_invoice_changelist") + "?status__exact=OPEN",
    )


def _card(title: str, figure: int, note: str, link: str) -> Card:
    return {"title": title, "figure": f"{figure:,}", "note": note, "link": link}


def _latest(tenant_ids: list[UUID]) -> dict[str, Any]:
    """The newest invoices, as unfold's table component takes them."""
    invoices = (
        Invoice.objects.filter(tenant__in=tenant_ids)  # any tenant: those that may be seen
        .select_related("customer", "tenant")
        .order_by("-created_at", "-pk")[:LATEST]
    )
    return {
        "headers": ["Invoice", "Customer", "Tenant", "Period", "Status", "Total"],
        "rows": [
            [
                _link(invoice),
                str(invoice.customer),
                invoice.tenant.slug,
                f"{invoice.period_start_at:%Y-%m-%d} to {invoice.period_end_at:%Y-%m-%d}",
                invoice.get_status_display(),
                _money(invoice.total, invoice.currency),
            ]
            for invoice in invoices
        ],
    }


def _link(invoice: Invoice) -> SafeString:
    page = reverse("admin:billing_invoice_change", args=[invoice.pk])
    return format_html('<a class="font-semibold" href="{}">{}</a>', page, invoice.number or "draft")


def _money(amount: Any, currency: str) -> str:
    return f"{amount:,.{minor_units(currency)}f} {currency}"
