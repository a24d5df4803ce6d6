"""Invoices in the admin: explained, drawn, exported, and moved from state to state."""

from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.admin_acts import Act
from aforo.tenancy.admin_base import TenantFilter, actor_of, role_in
from aforo.tenancy.roles import EXPORTERS
from aforo.tenancy.services import audit
from billing.admin.acts import ActsOnReadRow
from billing.admin.explained import money, relatives_of, shown_stages, stored_lines
from billing.admin.invoice_acts import acts_of_invoice
from billing.admin.taxes import AsksTaxEngine
from billing.downloads import audit_response, html_response, line_events_response, pdf_response
from billing.models import Invoice, InvoiceLine, StageRecord
from billing.services.invoices import finalize_invoice

_STATES = {
    Invoice.Status.DRAFT: "info",
    Invoice.Status.OPEN: "warning",
    Invoice.Status.PAID: "success",
    Invoice.Status.OVERDUE: "danger",
    Invoice.Status.UNCOLLECTIBLE: "danger",
    Invoice.Status.VOID: "info",
}


class InvoiceForm(forms.ModelForm):
    """Read only; what columns mean to who reads the table is not said to who reads the page."""

    class Meta:
        model = Invoice
        fields = ()
        help_texts = dict.fromkeys(("subscription", "bill_run", "draft_until"), "")


@admin.register(Invoice)
class InvoiceAdmin(AsksTaxEngine, ActsOnReadRow):
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
    readonly_fields = ("state", "sum", "documents", "sha256")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("customer", "subscription"),
                    ("period", "bill_run"),
                    ("tenant", "billing_entity"),
                    ("state", "kind"),
                    ("sum", "tax_status"),
                    ("issued_at", "due_at"),
                )
            },
        ),
        (
            "More",
            {
                "classes": ("collapse",),
                "fields": (
                    ("created_at", "draft_until"),
                    ("paid_at", "tax_error"),
                    ("tax_attempts", "tax_retry_at"),
                    ("seller", "buyer"),
                    ("documents", "sha256"),
                ),
            },
        ),
    )
    form = InvoiceForm
    change_form_outer_after_template = "billing/invoice_page.html"
    actions = ("finalize", "ask_tax_engine")

    @display(description="number", ordering="number")
    def reference(self, invoice: Invoice) -> str:
        return invoice.number or "draft"

    @display(description="status", label=_STATES, ordering="status")
    def state(self, invoice: Invoice) -> str:
        return invoice.status

    @display(description="total", ordering="total")
    def sum(self, invoice: Invoice) -> str:
        return money(invoice.total, invoice.currency)

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
        wrap = self.admin_site.admin_view
        own = [
            path("<uuid:id>/pdf", wrap(self.pdf), name="billing_invoice_pdf"),
            path("<uuid:id>/html", wrap(self.html), name="billing_invoice_html"),
            path("<uuid:id>/audit.zip", wrap(self.audit), name="billing_invoice_audit"),
            path(
                "<uuid:id>/lines/<uuid:line_id>/events.csv",
                wrap(self.line_events),
                name="billing_invoice_line_events",
            ),
        ]
        return [*own, *super().get_urls()]

    def acts_of(self, row: Invoice) -> dict[str, Act]:
        return acts_of_invoice(row)

    def shown(self, request: HttpRequest, row: Invoice) -> dict[str, object]:
        lines = stored_lines(row)
        record = StageRecord.objects.for_tenant(row.tenant_id).filter(invoice=row).first()
        sums = [
            ("Subtotal", row.subtotal),
            ("Discounts", row.discount_total),
            ("Tax", row.tax_total),
            ("Total", row.total),
        ]
        return {
            "lines": [line for line in lines if not line.is_tax],
            "taxes": [line for line in lines if line.is_tax],
            "sums": [(name, money(amount, row.currency)) for name, amount in sums],
            "stages": shown_stages(record.stages) if record else [],
            "relatives": relatives_of(row),
            "may_export": role_in(request, row.tenant_id) in EXPORTERS,
        }

    def pdf(self, request: HttpRequest, id: UUID) -> HttpResponse:  # noqa: A002 - as in the path
        return pdf_response(self.visible(request, id))

    def html(self, request: HttpRequest, id: UUID) -> HttpResponse:  # noqa: A002 - likewise
        return html_response(self.visible(request, id))

    def audit(self, request: HttpRequest, id: UUID) -> HttpResponseBase:  # noqa: A002 - likewise
        """The invoice with all its proof; the audit log keeps who took it."""
        invoice = self.visible(request, id)
        if role_in(request, invoice.tenant_id) not in EXPORTERS:
            raise PermissionDenied
        try:
            answer = audit_response(invoice)
        except AforoError as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
            return redirect("admin:billing_invoice_change", invoice.pk)
        audit.record(
            tenant=invoice.tenant_id,
            actor=actor_of(request, invoice.tenant_id),
            action="INVOICE_EXPORTED",
            target=invoice,
            now=clock.now(invoice.tenant),
        )
        return answer

    def line_events(
        self,
        request: HttpRequest,
        id: UUID,  # noqa: A002 - as in the path
        line_id: UUID,
    ) -> HttpResponseBase:
        """Every event behind one line, as CSV."""
        invoice = self.visible(request, id)
        lines = InvoiceLine.objects.for_tenant(invoice.tenant_id).select_related("invoice")
        line = lines.filter(invoice=invoice, pk=line_id).first()
        if line is None:
            raise Http404
        return line_events_response(line)

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
