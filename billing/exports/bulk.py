"""Invoices and their lines in bulk: as tables, or all their PDFs in a zip.

Rows are read a page at a time by their ids, so that a slow reader holds no transaction open.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import QuerySet

from aforo.money import minor_units
from billing.documents import document_of, render_pdf
from billing.exports.archive import zipped
from billing.exports.tables import Figure, csv_of
from billing.models import Invoice, InvoiceLine

ROWS_AT_A_TIME = 500  # ~2 MB of invoices with what is shown of them
DRAWN_AT_A_TIME = 50  # with all their lines
MOST_PDFS = 1_000  # 15 s of drawing, for which a web thread is taken


class Column(NamedTuple):
    """One column: its name, its type in Parquet, and its value of a row."""

    name: str
    type: str
    value: Callable[[Any], object]


def _amount(invoice: Invoice, amount: Decimal) -> Figure:
    return Figure(f"{amount:.{minor_units(invoice.currency)}f}")


INVOICES: Sequence[Column] = (
    Column("id", "UUID", lambda row: row.pk),
    Column("number", "VARCHAR", lambda row: row.number),
    Column("kind", "VARCHAR", lambda row: row.kind),
    Column("status", "VARCHAR", lambda row: row.status),
    Column("customerId", "UUID", lambda row: row.customer_id),
    Column("customerExternalId", "VARCHAR", lambda row: row.customer.external_id),
    Column("customerName", "VARCHAR", lambda row: row.buyer.get("name")),
    Column("subscriptionId", "UUID", lambda row: row.subscription_id),
    Column("billingEntityId", "UUID", lambda row: row.billing_entity_id),
    Column("billRunId", "UUID", lambda row: row.bill_run_id),
    Column("partOf", "UUID", lambda row: row.part_of_id),
    Column("currency", "VARCHAR", lambda row: row.currency),
    Column("subtotal", "DECIMAL(38, 4)", lambda row: _amount(row, row.subtotal)),
    Column("discountTotal", "DECIMAL(38, 4)", lambda row: _amount(row, row.discount_total)),
    Column("taxTotal", "DECIMAL(38, 4)", lambda row: _amount(row, row.tax_total)),
    Column("total", "DECIMAL(38, 4)", lambda row: _amount(row, row.total)),
    Column("periodStart", "TIMESTAMP", lambda row: row.period_start_at),
    Column("periodEnd", "TIMESTAMP", lambda row: row.period_end_at),
    Column("createdAt", "TIMESTAMP", lambda row: row.created_at),
    Column("issuedAt", "TIMESTAMP", lambda row: row.issued_at),
    Column("dueAt", "TIMESTAMP", lambda row: row.due_at),
    Column("paidAt", "TIMESTAMP", lambda row: row.paid_at),
    Column("digest", "VARCHAR", lambda row: row.digest),
)
# Numbers without a limit of digits are text in Parquet, exactly as they are.
LINES: Sequence[Column] = (
    Column("id", "UUID", lambda row: row.pk),
    Column("invoiceId", "UUID", lambda row: row.invoice_id),
    Column("invoiceNumber", "VARCHAR", lambda row: row.invoice.number),
    Column("invoiceStatus", "VARCHAR", lambda row: row.invoice.status),
    Column("customerExternalId", "VARCHAR", lambda row: row.invoice.customer.external_id),
    Column("currency", "VARCHAR", lambda row: row.invoice.currency),
    Column("position", "INTEGER", lambda row: row.position),
    Column("type", "VARCHAR", lambda row: row.type),
    Column("stage", "VARCHAR", lambda row: row.stage),
    Column("description", "VARCHAR", lambda row: row.description),
    Column("unitId", "UUID", lambda row: row.unit_id),
    Column("versionId", "UUID", lambda row: row.version_id),
    Column("dimension", "VARCHAR", lambda row: row.dimension),
    Column("taxCode", "VARCHAR", lambda row: row.tax_code),
    Column("taxPercent", "VARCHAR", lambda row: row.tax_percent),
    Column("ofLine", "INTEGER", lambda row: row.of_line),
    Column("coversStart", "TIMESTAMP", lambda row: row.covers_start_at),
    Column("coversEnd", "TIMESTAMP", lambda row: row.covers_end_at),
    Column("periodStart", "TIMESTAMP", lambda row: row.period_start_at),
    Column("periodEnd", "TIMESTAMP", lambda row: row.period_end_at),
    Column("quantity", "VARCHAR", lambda row: row.quantity),
    Column("exactAmount", "VARCHAR", lambda row: row.exact_amount),
    Column("amount", "DECIMAL(38, 4)", lambda row: _amount(row.invoice, row.amount)),
    Column("model", "VARCHAR", lambda row: (row.terms or {}).get("model")),
)


def lines_of(invoices: QuerySet[Invoice]) -> QuerySet[InvoiceLine]:
    """The lines of these invoices, with what a table says of their invoice."""
    ids = invoices.order_by().values("pk")
    lines: QuerySet[InvoiceLine] = InvoiceLine.objects.filter(invoice__in=ids)  # any tenant: theirs
    return lines.select_related("invoice__customer")


def table(rows: QuerySet[Any], columns: Sequence[Column]) -> Iterator[str]:
    """The rows as CSV, oldest first, made while it is read."""
    values = ([column.value(row) for column in columns] for row in by_page(rows, ROWS_AT_A_TIME))
    return csv_of([column.name for column in columns], values)


def pdfs(invoices: QuerySet[Invoice], *, at: datetime) -> Iterator[bytes]:
    """A zip of the invoices' PDFs, each named by its number and drawn when its turn comes."""
    rows = invoices.select_related("billing_entity").prefetch_related("lines__spans")
    files = (
        (f"{invoice.number or f'draft-{invoice.pk}'}.pdf".replace("/", "-"), _drawn(invoice))
        for invoice in by_page(rows, DRAWN_AT_A_TIME)
    )
    return zipped(files, at=at)


def by_page(rows: QuerySet[Any], size: int) -> Iterator[Any]:
    """All rows by rising ids, `size` at a time."""
    ordered, last = rows.order_by("pk"), None
    while True:
        page = list((ordered if last is None else ordered.filter(pk__gt=last))[:size])
        yield from page
        if len(page) < size:
            return
        last = page[-1].pk


def _drawn(invoice: Invoice) -> Iterator[bytes]:
    yield render_pdf(document_of(invoice))
