"""The invoice as people read it: one frozen value, drawn as a PDF or as an HTML page."""

from billing.documents.invoice import (
    Branding,
    DocumentCharge,
    DocumentLine,
    DocumentPart,
    InvoiceDocument,
    Party,
    document_of,
)
from billing.documents.render import render_html, render_pdf

__all__ = [
    "Branding",
    "DocumentCharge",
    "DocumentLine",
    "DocumentPart",
    "InvoiceDocument",
    "Party",
    "document_of",
    "render_html",
    "render_pdf",
]
