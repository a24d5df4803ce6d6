"""Invoices in the admin: read, drawn, and drafts finalized."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.money import minor_units
from aforo.tenancy import clock
from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantFilter, actor_of
from billing.admin.inlines import LineInline, StageInline
from billing.admin.taxes import AsksTaxEngine
from billing.downloads import html_response, pdf_response
from billing.models import Invoice
from billing.services.invoices import finalize_invoice

_STATES = {
    Invoice.Status.DRAFT: "info",
    Invoice.Status.OPEN: "warning",
    Invoice.Status.PAID: "success",
    Invoice.Status.OVERDUE: "danger",
    Invoice.Status.UNCOLLECTIBLE: "danger",
    Invoice.Status.VOID: "info",
}


@admin.register(Invoice)
class InvoiceAdmin(AsksTaxEngine, ReadOnlyAdmin):
    """What is owed. An invoice is made by a bill run; its content is never edited."""

    list_display = (
        "reference",
        "customer",
        "tenant",
        "state",
        "sum",
        "span",
        "issued_at",
        "documents",
    )
    list_select_related = ("tenant", "customer")
    list_filter = (
        TenantFilter,
        "status",
        "kind",
        "tax_status",
        "currency",
        ("period_end_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    search_fields = ("number", "customer__external_id", "customer__name", "id")
    readonly_fields = ("state", "sum", "before", "discounts", "tax", "documents", "sha256")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("customer", "subscription"),
                    ("period", "bill_run"),
                    ("tenant", "billing_entity"),
                    ("state", "kind"),
                    ("documents",),
                    ("before", "discounts"),
                    ("tax", "sum"),
                    ("tax_status", "tax_error", "tax_retry_at"),
                    ("issued_at", "due_at"),
                )
            },
        ),
        (
            "More",
            {
                "classes": ("collapse",),
                "fields": ("created_at", "paid_at", "seller", "buyer", "sha256"),
            },
        ),
    )
    inlines = (LineInline, StageInline)
    actions = ("finalize", "ask_tax_engine")

    @display(description="number", ordering="number")
    def reference(self, invoice: Invoice) -> str:
        return invoice.number or "draft"

    @display(description="status", label=_STATES, ordering="status")
    def state(self, invoice: Invoice) -> str:
        return invoice.status

    @display(description="total", ordering="total")
    def sum(self, invoice: Invoice) -> str:
        return _money(invoice.total, invoice)

    @display(description="subtotal")
    def before(self, invoice: Invoice) -> str:
        return _money(invoice.subtotal, invoice)

    @display(description="discounts")
    def discounts(self, invoice: Invoice) -> str:
        return _money(invoice.discount_total, invoice)

    @display(description="tax")
    def tax(self, invoice: Invoice) -> str:
        return _money(invoice.tax_total, invoice)

    @display(description="period", ordering="period_end_at")
    def span(self, invoice: Invoice) -> str:
        return f"{invoice.period_start_at:%Y-%m-%d} to {invoice.period_end_at:%Y-%m-%d}"

    @display(description="digest")
    def sha256(self, invoice: Invoice) -> str:
        return bytes(invoice.digest).hex()

    @display(description="documents")
    def documents(self, invoice: Invoice) -> SafeString:
        pdf = reverse("admin:billing_invoice_pdf", args=[invoice.pk])
        page = reverse("admin:billing_invoice_html", args=[invoice.pk])
        return format_html('<a href="{}">PDF</a> · <a href="{}">page</a>', pdf, page)

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        own = [
            path("<uuid:id>/pdf", site.admin_view(self.pdf), name="billing_invoice_pdf"),
            path("<uuid:id>/html", site.admin_view(self.html), name="billing_invoice_html"),
        ]
        return [*own, *super().get_urls()]

    def pdf(self, request: HttpRequest, **found_by: Any) -> HttpResponse:
        return pdf_response(self._visible(request, **found_by))

    def html(self, request: HttpRequest, **found_by: Any) -> HttpResponse:
        return html_response(self._visible(request, **found_by))

    def _visible(self, request: HttpRequest, **found_by: Any) -> Invoice:
        invoice: Invoice | None = self.get_queryset(request).filter(**found_by).first()
        if invoice is None:
            raise Http404
        return invoice

    def has_finalize_permission(self, request: HttpRequest) -> bool:
        return self.may_write(request)

    @admin.action(description="Finalize drafts", permissions=["finalize"])
    def finalize(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        drafts = [
            draft
            for draft in queryset.filter(status=Invoice.Status.DRAFT).order_by("created_at", "id")
            if self.may_write(request, draft)
        ]
        for draft in drafts:
            actor = actor_of(request, draft.tenant)
            finalize_invoice(invoice=draft, actor=actor, now=clock.now(draft.tenant))
        self.message_user(request, f"{len(drafts)} invoices issued", messages.SUCCESS)


def _money(amount: Decimal, invoice: Invoice) -> str:
    return f"{amount:,.{minor_units(invoice.currency)}f} {invoice.currency}"
