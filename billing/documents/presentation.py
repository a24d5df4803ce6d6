"""The words and figures of an invoice in reading order, for the PDF and the page alike."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from decimal import Decimal

from aforo.money import EXACT, ZERO
from billing.documents.formats import Formats
from billing.documents.invoice import (
    Branding,
    DocumentCharge,
    DocumentLine,
    DocumentPart,
    InvoiceDocument,
    Party,
)
from billing.documents.words import Words, charge_in, note_in

Shown = dict[str, object]

STAMPED = ("DRAFT", "VOID")
LETTER_COUNTRIES = {"CA", "CL", "CO", "MX", "PH", "US", "VE"}  # where A4 does not fit the folder
ACCENT = "#0b6e5f"
_PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_SVG = "image/svg+xml"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def presented(document: InvoiceDocument, formats: Formats, words: Words) -> Shown:
    """JSON-safe text only: nothing is left to compute, format or decide for a template."""
    heading = _heading(document, words)
    return {
        "language": formats.locale.language,
        "words": words,
        "title": f"{heading} {document.number or ''}".strip(),
        "heading": heading,
        "status": words[document.status],
        "stamp": words[document.status] if document.status in STAMPED else "",
        "paper": "us-letter" if document.seller.country in LETTER_COUNTRIES else "a4",
        "accent": _accent(document.branding),
        "logo": _logo(document.branding),
        "footer": document.branding.footer,
        "seller": _party(document.seller, formats, words),
        "buyer": _party(document.buyer, formats, words),
        "particulars": [
            {"label": label, "text": text} for label, text in _particulars(document, formats, words)
        ],
        "lines": _lines(document.lines, formats, words),
        "parts": [_part(part, formats, words) for part in document.parts],
        "sums": [{"label": label, "text": text} for label, text in _sums(document, formats, words)],
        "notes": _notes(document, words),
        "total": formats.amount(document.total),
        "due": _due(document, formats, words),
        "currency": words["currency"].format(name=formats.currency_name(), code=document.currency),
        "digest": f"sha256:{document.digest.hex()}",
        "verify": f"aforo verify {document.reference}",
        "undrawn": [],
    }


def _heading(document: InvoiceDocument, words: Words) -> str:
    if document.status == "DRAFT":
        return words["draft_invoice"]
    return words["consolidated_invoice" if document.kind == "CONSOLIDATED" else "invoice"]


def _due(document: InvoiceDocument, formats: Formats, words: Words) -> str:
    if document.due_at is None:
        return ""
    return words["due_by"].format(date=formats.date(document.due_at))


def _accent(branding: Branding) -> str:
    """The seller's colour, if it is one: it becomes part of a style."""
    return branding.accent_color if _COLOR.fullmatch(branding.accent_color) else ACCENT


def _logo(branding: Branding) -> str:
    """The picture as a data URI, which the page shows and the PDF reads; empty without any."""
    if not branding.logo:
        return ""
    kinds = (kind for start, kind in _PICTURES.items() if branding.logo.startswith(start))
    return f"data:{next(kinds, _SVG)};base64,{b64encode(branding.logo).decode()}"


def _party(party: Party, formats: Formats, words: Words) -> Shown:
    legal_name = party.legal_name if party.legal_name != party.name else ""
    below = [legal_name, *party.address.splitlines(), formats.country(party.country), party.email]
    if party.tax_number:
        below.append(words["tax_number"].format(number=party.tax_number))
    return {"name": party.name, "below": [text for text in below if text.strip()]}


def _particulars(
    document: InvoiceDocument, formats: Formats, words: Words
) -> Iterator[tuple[str, str]]:
    yield words["invoice_number"], document.number or words["given_when_issued"]
    issued = document.issued_at
    yield words["issued"], formats.date(issued) if issued else words["not_yet"]
    if document.due_at:
        yield words["due"], formats.date(document.due_at)
    start, end = document.period_start_at, document.period_end_at
    yield words["billing_period"], formats.period(start, end, between=words["between"])
    if document.buyer.reference:
        yield words["customer"], document.buyer.reference


def _part(part: DocumentPart, formats: Formats, words: Words) -> Shown:
    taxes = [{"label": tax, "text": text} for tax, text in _taxes(part.lines, formats)]
    return {
        "title": words["of_part"].format(number=part.number, name=part.name),
        "total": formats.amount(part.total),
        "lines": _lines(part.lines, formats, words),
        "taxes": taxes,
    }


def _lines(lines: Iterable[DocumentLine], formats: Formats, words: Words) -> list[Shown]:
    """What was sold and taken off. Taxes are among the sums, one figure for each rate."""
    return [_line(line, formats, words) for line in lines if not line.is_tax]


def _line(line: DocumentLine, formats: Formats, words: Words) -> Shown:
    quantity = "" if line.quantity is None else formats.quantity(line.quantity)
    rounded = line.charges or line.exact_amount != line.amount
    return {
        "description": _description(line, formats, words),
        "covers": _covers(line, formats, words),
        "quantity": quantity,
        "exact": formats.exact_amount(line.exact_amount) if rounded else "",
        "amount": formats.amount(line.amount),
        "charges": [_charge(charge, formats, words) for charge in line.charges],
        "events": "" if line.event_count is None else _events(line.event_count, formats, words),
    }


def _description(line: DocumentLine, formats: Formats, words: Words) -> str:
    if line.period is None:
        return line.description
    return f"{line.description} ({formats.period(*line.period, between=words['between'])})"


def _covers(line: DocumentLine, formats: Formats, words: Words) -> str:
    if line.covers is None:
        return ""
    period = formats.period(*line.covers, between=words["between"])
    return words["service_period"].format(period=period)


def _charge(charge: DocumentCharge, formats: Formats, words: Words) -> Shown:
    price = charge.unit_price
    return {
        "label": charge_in(words, charge.label),
        "quantity": formats.quantity(charge.quantity) if charge.quantity else "",
        "price": "" if price is None else formats.exact_amount(price),
        "exact": formats.exact_amount(charge.amount),
    }


def _events(count: int, formats: Formats, words: Words) -> str:
    proven = words["proven_one" if count == 1 else "proven_many"]
    return proven.format(count=formats.quantity(Decimal(count)))


def _sums(document: InvoiceDocument, formats: Formats, words: Words) -> Iterator[tuple[str, str]]:
    yield words["subtotal"], formats.amount(document.subtotal)
    if document.discount_total:
        yield words["discount"], formats.amount(EXACT.minus(document.discount_total))
    taxes = list(_taxes(_all_lines(document), formats))
    yield from taxes
    if not taxes:
        yield words["tax"], formats.amount(document.tax_total)


def _taxes(lines: Iterable[DocumentLine], formats: Formats) -> Iterator[tuple[str, str]]:
    """Each tax by its name and rate, summed over the lines that it is of."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        if line.is_tax and not _is_note(line):
            sums[line.description] = EXACT.add(sums.get(line.description, ZERO), line.amount)
    for name, amount in sums.items():
        yield name, formats.amount(amount)


def _notes(document: InvoiceDocument, words: Words) -> list[str]:
    """Why there is no tax: each reason once."""
    notes = (note_in(words, line.description) for line in _all_lines(document) if _is_note(line))
    return list(dict.fromkeys(notes))


def _is_note(line: DocumentLine) -> bool:
    return line.is_tax and not line.amount and not line.tax_percent


def _all_lines(document: InvoiceDocument) -> Iterator[DocumentLine]:
    yield from document.lines
    for part in document.parts:
        yield from part.lines
