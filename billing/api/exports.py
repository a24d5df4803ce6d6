"""Exports over HTTP: an invoice with its proof, invoices and lines in bulk."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from aforo.errors import Refused
from aforo.tenancy.services import audit
from billing.api.answers import ExportView, asked_format
from billing.api.invoices import InvoiceFilter
from billing.downloads import audit_response, file_answer
from billing.exports.archive import ZIP
from billing.exports.bulk import INVOICES, LINES, MOST_PDFS, Column, lines_of, pdfs, table
from billing.exports.parquet import PARQUET, parquet_of, require_parquet
from billing.exports.tables import CSV
from billing.models import Invoice
from billing.selectors.invoices import explained_invoices, invoices


class AuditExport(ExportView):
    """An invoice with every event behind it, and a program that checks it without us."""

    selector = explained_invoices

    @extend_schema(responses={(200, ZIP): OpenApiTypes.BINARY})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A zip, sent while it is made. The audit log keeps who took it.

        409 EVENTS_ARCHIVED while events of the invoice are in archives.
        """
        invoice = self.get_object()
        answer = audit_response(invoice)
        audit.record(
            tenant=self.tenant,
            actor=self.actor,
            action="INVOICE_EXPORTED",
            target=invoice,
            now=self.now(),
        )
        return answer


class _BulkExport(ExportView):
    selector = invoices
    filterset_class = InvoiceFilter
    columns: ClassVar[Sequence[Column]]
    name: ClassVar[str]

    def rows(self) -> QuerySet[Any]:
        raise NotImplementedError

    def chosen(self) -> QuerySet[Invoice]:
        """The invoices that the same filters list."""
        return self.filter_queryset(self.get_queryset())

    def tabled(self, wanted: str) -> HttpResponseBase:
        """All rows as CSV or Parquet."""
        rows = table(self.rows(), self.columns)
        if wanted == "csv":
            return file_answer(rows, content_type=CSV, name=f"{self.name}.csv")
        require_parquet()
        pieces = parquet_of(rows, self.columns)
        return file_answer(pieces, content_type=PARQUET, name=f"{self.name}.parquet")


class InvoiceExport(_BulkExport):
    """The invoices that the list would show with these filters, all of them."""

    columns = INVOICES
    name = "invoices"

    def rows(self) -> QuerySet[Any]:
        return self.chosen()

    @extend_schema(
        operation_id="invoices_export",
        parameters=[OpenApiParameter("format", str, enum=["csv", "parquet", "zip"])],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, PARQUET): OpenApiTypes.BINARY,
            (200, ZIP): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As CSV, as Parquet, or their PDFs in a zip: at most 1,000 of those."""
        wanted = asked_format(request, ("csv", "parquet", "zip"), default="csv")
        if wanted != "zip":
            return self.tabled(wanted)
        count = self.rows()[: MOST_PDFS + 1].count()
        if count > MOST_PDFS:
            raise Refused(
                f"at most {MOST_PDFS} invoices are drawn at once: narrow the filters",
                code="TOO_MANY_INVOICES",
            )
        return file_answer(pdfs(self.rows(), at=self.now()), content_type=ZIP, name="invoices.zip")


class InvoiceLineExport(_BulkExport):
    """The lines of the invoices that the list would show with these filters."""

    columns = LINES
    name = "invoice-lines"

    def rows(self) -> QuerySet[Any]:
        return lines_of(self.chosen())

    @extend_schema(
        operation_id="invoice_lines_export",
        parameters=[OpenApiParameter("format", str, enum=["csv", "parquet"])],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, PARQUET): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As CSV or Parquet; amounts before rounding are text there, with every digit."""
        return self.tabled(asked_format(request, ("csv", "parquet"), default="csv"))
