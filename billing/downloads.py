"""Invoices as files: what the API and the admin both hand out."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from billing.documents import document_of, render_html, render_pdf
from billing.models import Invoice

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
