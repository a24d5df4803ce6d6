"""The data of an invoice, as it is attached to its PDF: what is on the paper, for programs."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from aforo.money import minor_units, plain
from billing.documents.invoice import DocumentLine, InvoiceDocument, Party

Json = Mapping[str, object]


def attached(document: InvoiceDocument) -> str:
    """JSON: amounts as text with the minor units of their currency, times in UTC."""
    digits = minor_units(document.currency)
    data: Json = {
        "id": document.invoice_id,
        "number": document.number,
        "kind": document.kind,
        "status": document.status,
        "currency": document.currency,
        "seller": _party(document.seller),
        "buyer": _party(document.buyer),
        "periodStart": _moment(document.period_start_at),
        "periodEnd": _moment(document.period_end_at),
        "issuedAt": _moment(document.issued_at),
        "dueAt": _moment(document.due_at),
        "lines": _lines(document.lines, digits),
        "parts": [
            {
                "number": part.number,
                "customer": part.name,
                "total": f"{part.total:.{digits}f}",
                "lines": _lines(part.lines, digits),
            }
            for part in document.parts
        ],
        "subtotal": f"{document.subtotal:.{digits}f}",
        "discountTotal": f"{document.discount_total:.{digits}f}",
        "taxTotal": f"{document.tax_total:.{digits}f}",
        "taxPending": document.is_tax_pending,
        "total": f"{document.total:.{digits}f}",
        "digest": document.digest.hex(),
    }
    return json.dumps(data, ensure_ascii=False, indent=1)


def _party(party: Party) -> Json:
    return {
        "name": party.name,
        "legalName": party.legal_name,
        "address": party.address,
        "country": party.country,
        "taxNumber": party.tax_number,
        "email": party.email,
        "reference": party.reference,
    }


def _lines(lines: Iterable[DocumentLine], digits: int) -> list[Json]:
    return [_line(line, digits) for line in lines]


def _line(line: DocumentLine, digits: int) -> Json:
    period, covers = line.period or (None, None), line.covers or (None, None)
    return {
        "type": line.type,
        "description": line.description,
        "quantity": _number(line.quantity),
        "exactAmount": plain(line.exact_amount),
        "amount": f"{line.amount:.{digits}f}",
        "taxPercent": _number(line.tax_percent),
        "periodStart": _moment(period[0]),
        "periodEnd": _moment(period[1]),
        "coversStart": _moment(covers[0]),
        "coversEnd": _moment(covers[1]),
        "eventCount": line.event_count,
        "charges": [
            {
                "label": charge.label,
                "quantity": plain(charge.quantity),
                "unitPrice": _number(charge.unit_price),
                "amount": plain(charge.amount),
            }
            for charge in line.charges
        ],
    }


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
