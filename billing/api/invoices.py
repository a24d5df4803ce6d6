"""Invoices over HTTP: listed, explained down to their events, drawn, finalized."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.serializers import WireModelSerializer
from aforo.api.views import TenantAPIView, TenantDetailView, TenantListView
from billing.api.fields import AmountField, DigestField, PlainField, named
from billing.downloads import html_response, pdf_response
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.selectors.invoices import explained_invoices, invoices
from billing.services.invoices import finalize_invoice


class SpanSerializer(WireModelSerializer):
    """The events behind a line, exactly: those of one running total from first to last position."""

    quantity = PlainField()
    revenue = PlainField()
    digest = DigestField()

    class Meta:
        model = BillRunEventIndex
        fields = (
            "running_total_id",
            "first_position",
            "last_position",
            "event_count",
            "quantity",
            "revenue",
            "digest",
        )
        read_only_fields = fields


class InvoiceLineSerializer(WireModelSerializer):
    """One line. `periodStart` and `periodEnd` are the earlier period of an adjustment.

    `coversStart` and `coversEnd` are the later one that a fee in advance pays for; `ofLine` is the
    position of the line that a tax or a discount is of.
    """

    covers_start = serializers.DateTimeField(source="covers_start_at", read_only=True)
    covers_end = serializers.DateTimeField(source="covers_end_at", read_only=True)
    tax_percent = PlainField(allow_null=True)

    period_start = serializers.DateTimeField(source="period_start_at", read_only=True)
    period_end = serializers.DateTimeField(source="period_end_at", read_only=True)
    quantity = PlainField(allow_null=True)
    exact_amount = PlainField()
    amount = AmountField("amount", currency="invoice.currency")
    spans = SpanSerializer(many=True)

    class Meta:
        model = InvoiceLine
        fields = (
            "id",
            "position",
            "type",
            "stage",
            "description",
            "unit_id",
            "version_id",
            "dimension",
            "tax_code",
            "tax_percent",
            "of_line",
            "covers_start",
            "covers_end",
            "period_start",
            "period_end",
            "quantity",
            "exact_amount",
            "amount",
            "charges",
            "terms",
            "spans",
        )
        read_only_fields = fields


class InvoiceSerializer(WireModelSerializer):
    customer_id = serializers.UUIDField(read_only=True)
    customer_external_id = serializers.CharField(source="customer.external_id", read_only=True)
    subscription_id = serializers.UUIDField(read_only=True)
    period_id = serializers.UUIDField(read_only=True)
    billing_entity_id = serializers.UUIDField(read_only=True)
    bill_run_id = serializers.UUIDField(read_only=True, allow_null=True)
    part_of = serializers.UUIDField(
        source="part_of_id", read_only=True, allow_null=True, help_text="the consolidated invoice"
    )
    replaces = serializers.UUIDField(
        source="replaces_id", read_only=True, allow_null=True, help_text="a void invoice"
    )
    subtotal = AmountField("subtotal")
    discount_total = AmountField("discount_total")
    tax_total = AmountField("tax_total")
    total = AmountField("total")
    period_start = serializers.DateTimeField(source="period_start_at", read_only=True)
    period_end = serializers.DateTimeField(source="period_end_at", read_only=True)
    digest = DigestField()

    class Meta:
        model = Invoice
        fields = (
            "id",
            "number",
            "kind",
            "status",
            "customer_id",
            "customer_external_id",
            "subscription_id",
            "period_id",
            "billing_entity_id",
            "bill_run_id",
            "part_of",
            "replaces",
            "currency",
            "subtotal",
            "discount_total",
            "tax_total",
            "total",
            "period_start",
            "period_end",
            "digest",
            "tax_status",
            "tax_error",
            "draft_until",
            "created_at",
            "issued_at",
            "due_at",
            "paid_at",
        )
        read_only_fields = fields


class InvoicePart(WireModelSerializer):
    """An invoice that a consolidated one sums up."""

    customer_external_id = serializers.CharField(source="customer.external_id", read_only=True)
    subscription_id = serializers.UUIDField(read_only=True)
    total = AmountField("total")

    class Meta:
        model = Invoice
        fields = ("id", "number", "kind", "customer_external_id", "subscription_id", "total")
        read_only_fields = fields


class ExplainedInvoiceSerializer(InvoiceSerializer):
    parts = InvoicePart(many=True, read_only=True)
    lines = InvoiceLineSerializer(many=True)
    stages = serializers.JSONField(
        source="stage_record.stages", help_text="what each of the ten stages did"
    )

    class Meta:
        model = Invoice
        fields = (*InvoiceSerializer.Meta.fields, "seller", "buyer", "parts", "lines", "stages")
        read_only_fields = fields


class InvoiceFilter(filters.FilterSet):
    status = filters.MultipleChoiceFilter(choices=Invoice.Status.choices)
    kind = filters.MultipleChoiceFilter(choices=Invoice.Kind.choices)
    number = filters.CharFilter()
    currency = filters.CharFilter()
    partOf = filters.UUIDFilter("part_of_id")  # noqa: N815 - its name on the wire
    issuedFrom = filters.IsoDateTimeFilter("issued_at", "gte")  # noqa: N815
    issuedBefore = filters.IsoDateTimeFilter("issued_at", "lt")  # noqa: N815
    dueFrom = filters.IsoDateTimeFilter("due_at", "gte")  # noqa: N815
    dueBefore = filters.IsoDateTimeFilter("due_at", "lt")  # noqa: N815
    customerId = filters.CharFilter(method="of_customer")  # noqa: N815
    subscriptionId = filters.UUIDFilter("subscription_id")  # noqa: N815
    billRunId = filters.UUIDFilter("bill_run_id")  # noqa: N815
    billingPeriodStart = filters.IsoDateTimeFilter("period_end_at", "gt")  # noqa: N815
    billingPeriodEnd = filters.IsoDateTimeFilter("period_end_at", "lte")  # noqa: N815

    def of_customer(self, rows: QuerySet[Invoice], name: str, value: str) -> QuerySet[Invoice]:
        return rows.filter(named(value, by="external_id", prefix="customer__"))


class Invoices(TenantListView):
    """The tenant's invoices, newest first.

    `billingPeriodStart` (exclusive) and `billingPeriodEnd` (inclusive) bound the end of the period.
    `status` and `kind` may be given several times.
    """

    selector = invoices
    serializer_class = InvoiceSerializer
    filterset_class = InvoiceFilter


class InvoiceDetail(TenantDetailView):
    """One invoice: its lines, their charges, the events behind them, and the stages' record."""

    selector = explained_invoices
    serializer_class = ExplainedInvoiceSerializer


class InvoiceFinalization(TenantAPIView):
    """Issuing a draft."""

    selector = explained_invoices
    serializer_class = ExplainedInvoiceSerializer
    replays_answers = False  # an issued invoice stays as it is, however often it is asked for

    @extend_schema(request=None)
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give a draft its number and open it; an issued invoice is answered as it is."""
        finalize_invoice(invoice=self.get_object(), actor=self.actor, now=self.now())
        return self.answer(self.get_object())


class InvoiceDrawing(TenantAPIView):
    """One invoice as a document. What the client accepts is not asked: the path says it."""

    selector = explained_invoices

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)


class InvoicePDF(InvoiceDrawing):
    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The invoice as PDF; the same invoice always has the same bytes."""
        return pdf_response(self.get_object())


class InvoiceHTML(InvoiceDrawing):
    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The invoice as one page that loads nothing."""
        return html_response(self.get_object())
