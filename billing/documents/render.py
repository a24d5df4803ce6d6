"""Drawing: the same text through one Typst template (PDF) and one Django template (HTML)."""

import json
from functools import cache
from pathlib import Path

import typst
from django.template.loader import render_to_string

from billing.documents.formats import ENGLISH, Formats
from billing.documents.invoice import InvoiceDocument
from billing.documents.presentation import presented

TYPST_TEMPLATE = Path(__file__).parents[2] / "templates" / "billing" / "invoice.typ"


def render_pdf(document: InvoiceDocument) -> bytes:
    """The invoice as PDF: the same document, the same bytes. Reads no network."""
    return typst.compile(
        TYPST_TEMPLATE,
        root=TYPST_TEMPLATE.parent,
        font_paths=_fonts(),
        sys_inputs={"invoice": json.dumps(presented(document, _drawable_formats(document)))},
        timestamp=int(document.dated_at.timestamp()),
    )


def render_html(document: InvoiceDocument) -> str:
    """The invoice as one page that needs nothing else: no script, no font, no picture."""
    context = {"invoice": presented(document, _formats(document, document.language))}
    return render_to_string("billing/invoice.html", context)


def _formats(document: InvoiceDocument, language: str) -> Formats:
    return Formats.of(language=language, currency=document.currency, time_zone=document.time_zone)


def _drawable_formats(document: InvoiceDocument) -> Formats:
    """Formats of the customer's language, or English ones where no font would show the amount.

    Names are drawn as they are: by the host's fonts, where Typst's own have no glyph for them.
    """
    formats = _formats(document, document.language)
    sample = f"{formats.amount(document.total)} {formats.date(document.dated_at)}"
    return formats if all(map(_is_drawn, sample)) else _formats(document, ENGLISH)


def _is_drawn(character: str) -> bool:
    """Whether Typst's own fonts have it: Latin, Greek, Cyrillic, punctuation, currency signs."""
    return character < "\u0530" or "\u1e00" <= character < "\u20c0"


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=True)
