"""The invoice as people read it: one frozen value, drawn as a PDF or as an HTML page."""

from billing.documents.invoice import (
    DocumentCharge,
    DocumentLine,
    InvoiceDocument,
    Party,
    document_of,
)
from billing.documents.render import render_html, render_pdf

__all__ = [
    "DocumentCharge",
    "DocumentLine",
    "InvoiceDocument",
    "Party",
    "document_of",
    "render_html",
    "render_pdf",
]
