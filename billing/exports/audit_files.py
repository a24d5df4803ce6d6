"""The files of an audit export, as `verify.py` reads them: JSON in one spelling, line by line."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from aforo.money import minor_units, plain
from billing.exports.tables import moment
from billing.models import Invoice, InvoiceLine
from metering import proof
from metering.selectors.events import CountedEvent

Json = Mapping[str, object]
EVENTS_AT_A_TIME = 200  # ~120 KB


def spelled(value: object) -> str:
    """The one spelling of a value: compact, as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def members(found: Json) -> Iterator[bytes]:
    """An object with a member on each line."""
    lines = (f"{spelled(name)}:{spelled(value)}" for name, value in found.items())
    yield ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def elements(found: Iterable[object]) -> Iterator[bytes]:
    """A list with an element on each line."""
    lines = list(map(spelled, found))
    yield ("[\n" + "".join(f"{line},\n" for line in lines[:-1])).encode()
    yield "".join(f"{line}\n" for line in lines[-1:]).encode() + b"]\n"


def invoice_file(invoice: Invoice, *, parts: Sequence[str]) -> Json:
    """The invoice as it was issued; `parts` are the folders of those it is the sum of."""
    amounts = {
        "subtotal": invoice.subtotal,
        "discountTotal": invoice.discount_total,
        "taxTotal": invoice.tax_total,
        "total": invoice.total,
    }
    digits = minor_units(invoice.currency)
    times = {
        "periodStart": invoice.period_start_at,
        "periodEnd": invoice.period_end_at,
        "createdAt": invoice.created_at,
        "issuedAt": invoice.issued_at,
        "dueAt": invoice.due_at,
    }
    return {
        "id": str(invoice.pk),
        "number": invoice.number,
        "kind": invoice.kind,
        "status": invoice.status,
        "currency": invoice.currency,
        "minorUnits": digits,
        **{name: f"{amount:.{digits}f}" for name, amount in amounts.items()},
        **{name: at and moment(at) for name, at in times.items()},
        "seller": invoice.seller,
        "buyer": invoice.buyer,
        "digest": bytes(invoice.digest).hex(),
        "parts": list(parts),
    }


def line_file(line: InvoiceLine, *, currency: str, events: str | None) -> Json:
    """One line; `events` is the file of what is behind it."""
    return {
        "position": line.position,
        "id": str(line.pk),
        "type": line.type,
        "stage": line.stage,
        "description": line.description,
        "unitId": line.unit_id and str(line.unit_id),
        "versionId": line.version_id and str(line.version_id),
        "dimension": line.dimension,
        "periodStart": line.period_start_at and moment(line.period_start_at),
        "periodEnd": line.period_end_at and moment(line.period_end_at),
        "coversStart": line.covers_start_at and moment(line.covers_start_at),
        "coversEnd": line.covers_end_at and moment(line.covers_end_at),
        "taxCode": line.tax_code,
        "taxPercent": _number(line.tax_percent),
        "ofLine": line.of_line,
        "quantity": _number(line.quantity),
        "exactAmount": plain(line.exact_amount),
        "amount": f"{line.amount:.{minor_units(currency)}f}",
        "charges": line.charges,
        "terms": line.terms,
        "events": events,
        "spans": [
            {
                "runningTotalId": span.running_total_id,
                "firstPosition": span.first_position,
                "lastPosition": span.last_position,
                "eventCount": span.event_count,
                "quantity": plain(span.quantity),
                "revenue": plain(span.revenue),
                "digest": bytes(span.digest).hex(),
            }
            for span in line.spans.all()
        ],
    }


def events_file(events: Iterable[CountedEvent]) -> Iterator[bytes]:
    """A line per event: the values that its hash covers, by name, and where the chain then stood.

    The values are taken from the very bytes that are hashed, so that nothing is spelled twice.
    """
    lines = []
    for event in events:
        hashed: list[object] = json.loads(event.canonical())
        row = dict(zip(proof.HASHED_COLUMNS, hashed, strict=True))
        lines.append(spelled(row | {"digest": bytes(event.digest).hex()}))
        if len(lines) >= EVENTS_AT_A_TIME:
            yield ("\n".join(lines) + "\n").encode()
            lines.clear()
    if lines:
        yield ("\n".join(lines) + "\n").encode()


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
