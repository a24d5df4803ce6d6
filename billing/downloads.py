"""Invoices, their events and reports as files: what the API and the admin both hand out."""

from collections.abc import Iterable

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

from aforo.spelling import on_the_wire
from billing.documents import document_of, render_html, render_pdf
from billing.exports.archive import ZIP
from billing.exports.audit import audit_export
from billing.exports.line_events import walk_line
from billing.exports.reconciliation import Reconciliation
from billing.exports.tables import CSV, csv_of
from billing.models import BillRun, Invoice, InvoiceLine
from metering.selectors.events import CountedEvent

# The page is one file: nothing in it, whatever a customer is called, may load or run anything.
_NOTHING_BUT_STYLE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def pdf_response(invoice: Invoice) -> HttpResponse:
    """`invoice` as a PDF, named by its number."""
    name = f"{invoice.number or f'draft-{invoice.pk}'}.pdf"
    answer = HttpResponse(render_pdf(document_of(invoice)), content_type="application/pdf")
    answer.headers["Content-Disposition"] = content_disposition_header(False, name) or "inline"
    return answer


def html_response(invoice: Invoice) -> HttpResponse:
    """`invoice` as a page."""
    headers = {"Content-Security-Policy": _NOTHING_BUT_STYLE}
    return HttpResponse(render_html(document_of(invoice)), headers=headers)


def audit_response(invoice: Invoice) -> StreamingHttpResponse:
    """`invoice` with all its proof; Conflict when it cannot be proven from what is here."""
    name = f"{invoice}-audit.zip".replace(" ", "-")
    return file_answer(audit_export(invoice), content_type=ZIP, name=name)


def line_events_response(line: InvoiceLine) -> StreamingHttpResponse:
    """Every event behind `line`, in the order in which they were counted."""
    heading = [on_the_wire(name) for name in CountedEvent._fields]
    name = f"{line.invoice.number or line.invoice_id}-line-{line.position}.csv"
    return file_answer(csv_of(heading, walk_line(line)), content_type=CSV, name=name)


def reconciliation_response(run: BillRun, found: Reconciliation) -> StreamingHttpResponse:
    """Where the events of a run's window are, one row for each place."""
    rows = [("received", found.received), *found.places, ("difference", found.difference)]
    name = f"reconciliation-{run.pk}.csv"
    return file_answer(csv_of(("place", "events"), rows), content_type=CSV, name=name)


def file_answer(
    pieces: Iterable[str] | Iterable[bytes], *, content_type: str, name: str
) -> StreamingHttpResponse:
    """A file for download, sent while it is made."""
    answer = StreamingHttpResponse(pieces, content_type=content_type)
    disposition = content_disposition_header(as_attachment=True, filename=name)
    answer.headers["Content-Disposition"] = disposition or "attachment"
    return answer
