"""The events behind an invoice line over HTTP: page by page, or all of them as CSV."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.api.cursors import PARAMETERS, cursor_of, cursor_page, place_of
from aforo.api.paging import size_of
from aforo.api.serializers import WireSerializer
from aforo.errors import NotFound
from billing.api.answers import JSON, FileView, asked_format
from billing.api.fields import DigestField
from billing.downloads import line_events_response
from billing.exports.line_events import Place, page_of_line
from billing.models import Invoice, InvoiceLine
from billing.selectors.invoices import invoices
from metering.api.provenance import UsageEventSerializer
from metering.models import UsageEvent
from metering.selectors.corrections import VOID, position_voided
from metering.selectors.usage import customer_names


class LineEventSerializer(UsageEventSerializer):
    """An event as the line bills it; `revenue` is what it added to the price, `cost` to the cost.

    `digest` is where the chain stood after it. A row that takes an event back says which.
    """

    digest = DigestField()
    takes_back = serializers.SerializerMethodField(help_text="position of the event taken back")

    class Meta:
        model = UsageEvent
        fields = (*UsageEventSerializer.Meta.fields, "digest", "takes_back")
        read_only_fields = fields

    def get_takes_back(self, event: UsageEvent) -> int | None:
        return position_voided(event.metadata) if event.source == VOID else None


class LineEventPage(WireSerializer):
    content = LineEventSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="null on the last page")


class LineEvents(FileView):
    """The events that an invoice line stands on, in the order in which they were counted."""

    selector = invoices

    @extend_schema(
        operation_id="invoice_line_events_list",
        parameters=[
            *PARAMETERS,
            OpenApiParameter("format", str, enum=["json", "csv"], description="csv: all of them"),
        ],
        responses={(200, "application/json"): LineEventPage, (200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        line = _line(self.get_object(), self.kwargs["line_id"])
        if asked_format(request, (JSON, "csv"), default=JSON) == "csv":
            return line_events_response(line)
        place, size = place_of(request, parts=2), size_of(request)
        page = page_of_line(line, after=None if place is None else Place(*place), size=size)
        names = customer_names(tenant=self.tenant, events=page.events)
        rows = LineEventSerializer(page.events, many=True, context={"names": names}).data
        end = None if page.end is None else cursor_of(*page.end)
        return cursor_page(list(rows), next_cursor=end, size=size)


def _line(invoice: Invoice, line_id: UUID) -> InvoiceLine:
    lines = InvoiceLine.objects.for_tenant(invoice.tenant_id).select_related("invoice")
    line: InvoiceLine | None = lines.filter(invoice=invoice, pk=line_id).first()
    if line is None:
        raise NotFound(f"invoice {invoice} has no line with id {line_id}")
    return line
