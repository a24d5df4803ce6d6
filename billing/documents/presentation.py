"""The words and figures of an invoice in reading order, for the PDF and the page alike."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import replace
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
from billing.documents.wording import TaxSaid, Wording, tax_said
from billing.documents.words import Words

Shown = dict[str, object]

STAMPED = ("DRAFT", "VOID")
LETTER_COUNTRIES = {"CA", "CL", "CO", "MX", "PH", "US", "VE"}  # where A4 does not fit the folder
ACCENT = "#0b6e5f"
_PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_SVG = "image/svg+xml"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def presented(document: InvoiceDocument, formats: Formats, words: Words) -> Shown:
    """JSON-safe text only: nothing is left to compute, format or decide for a template."""
    heading, wording = _heading(document, words), Wording(words, formats)
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
        "lines": _lines(document.lines, wording),
        "parts": [_part(part, wording) for part in document.parts],
        "sums": [{"label": label, "text": text} for label, text in _sums(document, wording)],
        "notes": _notes(document, wording),
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


def _part(part: DocumentPart, wording: Wording) -> Shown:
    taxes = [{"label": tax, "text": text} for tax, text in _taxes(part.lines, wording)]
    if part.is_tax_pending:
        taxes = [_pending(wording)]
    return {
        "title": wording.words["of_part"].format(number=part.number, name=part.name),
        "total": wording.formats.amount(part.total),
        "lines": _lines(part.lines, wording),
        "taxes": taxes,
    }


def _lines(lines: Iterable[DocumentLine], wording: Wording) -> list[Shown]:
    """What was sold and taken off. Taxes are among the sums, one figure for each rate."""
    return [_line(line, wording) for line in lines if not line.is_tax]


def _line(line: DocumentLine, wording: Wording) -> Shown:
    formats = wording.formats
    quantity = "" if line.quantity is None else formats.quantity(line.quantity)
    rounded = line.charges or line.exact_amount != line.amount
    return {
        "description": wording.line(line),
        "covers": _covers(line, wording),
        "quantity": quantity,
        "exact": formats.exact_amount(line.exact_amount) if rounded else "",
        "amount": formats.amount(line.amount),
        "charges": [_charge(charge, line.model, wording) for charge in line.charges],
        "events": "" if line.event_count is None else _events(line.event_count, wording),
    }


def _covers(line: DocumentLine, wording: Wording) -> str:
    if line.covers is None:
        return ""
    period = wording.formats.period(*line.covers, between=wording.words["between"])
    return wording.words["service_period"].format(period=period)


def _charge(charge: DocumentCharge, model: str, wording: Wording) -> Shown:
    formats, price = wording.formats, charge.unit_price
    return {
        "label": wording.charge(charge.label, model=model),
        "quantity": formats.quantity(charge.quantity) if charge.quantity else "",
        "price": "" if price is None else formats.exact_amount(price),
        "exact": formats.exact_amount(charge.amount),
    }


def _events(count: int, wording: Wording) -> str:
    proven = wording.words["proven_one" if count == 1 else "proven_many"]
    return proven.format(count=wording.formats.quantity(Decimal(count)))


def _sums(document: InvoiceDocument, wording: Wording) -> Iterator[tuple[str, str]]:
    words, formats = wording.words, wording.formats
    yield words["subtotal"], formats.amount(document.subtotal)
    if document.discount_total:
        yield words["discount"], formats.amount(EXACT.minus(document.discount_total))
    taxes = list(_taxes(_all_lines(document), wording))
    yield from taxes
    if document.is_tax_pending:
        yield words["tax"], words["tax_pending"]
    elif not taxes:
        yield words["tax"], formats.amount(document.tax_total)


def _pending(wording: Wording) -> dict[str, str]:
    return {"label": wording.words["tax"], "text": wording.words["tax_pending"]}


def _taxes(lines: Iterable[DocumentLine], wording: Wording) -> Iterator[tuple[str, str]]:
    """Each tax by its name and rate, summed, like what it is of, over all its lines."""
    sums: dict[TaxSaid | str, tuple[Decimal, Decimal]] = {}
    for line in lines:
        if line.is_tax and not _is_note(line):
            said = tax_said(line)
            tax = line.description if said is None else replace(said, base=ZERO)
            base, amount = sums.get(tax, (ZERO, ZERO))
            more = ZERO if said is None else said.base
            sums[tax] = EXACT.add(base, more), EXACT.add(amount, line.amount)
    for tax, (base, amount) in sums.items():
        label = tax if isinstance(tax, str) else wording.tax(replace(tax, base=base))
        yield label, wording.formats.amount(amount)


def _notes(document: InvoiceDocument, wording: Wording) -> list[str]:
    """Why there is no tax, or none yet: each reason once."""
    notes = [wording.note(line.description) for line in _all_lines(document) if _is_note(line)]
    if document.is_tax_pending:
        notes.append(wording.words["tax_pending_note"])
    return list(dict.fromkeys(notes))


def _is_note(line: DocumentLine) -> bool:
    """Whether a line of tax asks for nothing and says why; a rate of zero is a rate."""
    is_nothing = line.is_tax and not line.amount and not line.tax_percent
    return is_nothing and tax_said(line) is None


def _all_lines(document: InvoiceDocument) -> Iterator[DocumentLine]:
    yield from document.lines
    for part in document.parts:
        yield from part.lines
