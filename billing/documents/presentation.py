"""The words and figures of an invoice in reading order, for the PDF and the page alike."""

from collections.abc import Iterator
from decimal import Decimal

from aforo.money import EXACT
from billing.documents.formats import Formats
from billing.documents.invoice import DocumentCharge, DocumentLine, InvoiceDocument, Party

Shown = dict[str, object]

STAMPS = {"DRAFT": "Draft", "VOID": "Void"}
LETTER_COUNTRIES = {"CA", "CL", "CO", "MX", "PH", "US", "VE"}  # where A4 does not fit the folder


def presented(document: InvoiceDocument, formats: Formats) -> Shown:
    """JSON-safe text only: nothing is left to compute, format or decide for a template."""
    heading = "Draft invoice" if document.status == "DRAFT" else "Invoice"
    return {
        "title": f"{heading} {document.number or ''}".strip(),
        "heading": heading,
        "status": document.status.capitalize(),
        "stamp": STAMPS.get(document.status, ""),
        "paper": "us-letter" if document.seller.country in LETTER_COUNTRIES else "a4",
        "seller": _party(document.seller, formats),
        "buyer": _party(document.buyer, formats),
        "particulars": [
            {"label": label, "text": text} for label, text in _particulars(document, formats)
        ],
        "lines": [_line(line, formats) for line in document.lines],
        "sums": [{"label": label, "text": text} for label, text in _sums(document, formats)],
        "total": formats.amount(document.total),
        "due": f"Due by {formats.date(document.due_at)}" if document.due_at else "",
        "currency": f"All amounts in {formats.currency_name()} ({document.currency}).",
        "digest": f"sha256:{document.digest.hex()}",
        "verify": f"aforo verify {document.reference}",
    }


def _party(party: Party, formats: Formats) -> Shown:
    legal_name = party.legal_name if party.legal_name != party.name else ""
    below = [legal_name, *party.address.splitlines(), formats.country(party.country), party.email]
    if party.tax_number:
        below.append(f"Tax number {party.tax_number}")
    return {"name": party.name, "below": [text for text in below if text.strip()]}


def _particulars(document: InvoiceDocument, formats: Formats) -> Iterator[tuple[str, str]]:
    yield "Invoice number", document.number or "given when issued"
    yield "Issued", formats.date(document.issued_at) if document.issued_at else "not yet"
    if document.due_at:
        yield "Due", formats.date(document.due_at)
    yield "Billing period", formats.period(document.period_start_at, document.period_end_at)
    if document.buyer.reference:
        yield "Customer", document.buyer.reference


def _line(line: DocumentLine, formats: Formats) -> Shown:
    quantity = "" if line.quantity is None else formats.quantity(line.quantity)
    rounded = line.charges or line.exact_amount != line.amount
    return {
        "description": _description(line, formats),
        "quantity": quantity,
        "exact": formats.exact_amount(line.exact_amount) if rounded else "",
        "amount": formats.amount(line.amount),
        "charges": [_charge(charge, formats) for charge in line.charges],
        "events": "" if line.event_count is None else _events(line.event_count, formats),
    }


def _description(line: DocumentLine, formats: Formats) -> str:
    if line.period is None:
        return line.description
    return f"{line.description} ({formats.period(*line.period)})"


def _charge(charge: DocumentCharge, formats: Formats) -> Shown:
    price = charge.unit_price
    return {
        "label": charge.label,
        "quantity": formats.quantity(charge.quantity) if charge.quantity else "",
        "price": "" if price is None else formats.exact_amount(price),
        "exact": formats.exact_amount(charge.amount),
    }


def _events(count: int, formats: Formats) -> str:
    noun = "event" if count == 1 else "events"
    return f"proven by {formats.quantity(Decimal(count))} {noun}"


def _sums(document: InvoiceDocument, formats: Formats) -> Iterator[tuple[str, str]]:
    yield "Subtotal", formats.amount(document.subtotal)
    if document.discount_total:
        yield "Discount", formats.amount(EXACT.minus(document.discount_total))
    yield "Tax", formats.amount(document.tax_total)
