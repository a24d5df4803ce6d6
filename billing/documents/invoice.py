"""What an invoice shows, as one frozen value; it is built from rows and knows none afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from django.db.models import prefetch_related_objects

from billing.exports.parts import parts_of
from billing.models import BillRunEventIndex, Invoice, InvoiceLine


@dataclass(frozen=True, slots=True)
class Party:
    """Seller or buyer as copied into the invoice when it was made."""

    name: str
    legal_name: str = ""
    address: str = ""
    country: str = ""
    tax_number: str = ""
    email: str = ""
    reference: str = ""

    @classmethod
    def of(cls, copied: Mapping[str, object]) -> Self:
        """The party of a copied billing entity or customer; keys that are absent show nothing."""
        names = (_text(copied, key) for key in ("displayName", "name", "legalName", "externalId"))
        return cls(
            name=next(filter(None, names), ""),
            legal_name=_text(copied, "legalName"),
            address=_text(copied, "address"),
            country=_text(copied, "country"),
            tax_number=_text(copied, "taxNumber"),
            email=_text(copied, "email"),
            reference=_text(copied, "externalId"),
        )


@dataclass(frozen=True, slots=True)
class DocumentCharge:
    """One step of a line's price: units of a tier, a fee, free units. The amount is unrounded."""

    label: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Decimal

    @classmethod
    def of(cls, stored: Mapping[str, str | None]) -> Self:
        """The charge of its stored form: {label, quantity, unitPrice, amount}."""
        price = stored.get("unitPrice")
        return cls(
            label=stored["label"] or "",
            quantity=Decimal(stored["quantity"] or 0),
            unit_price=None if price is None else Decimal(price),
            amount=Decimal(stored["amount"] or 0),
        )


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One line; `event_count` is None where no events are behind it.

    `period` is the earlier one that an adjustment is of; None is the invoice's own. `covers` is
    what a fee in advance pays for; `model` is how its usage was priced.
    """

    description: str
    amount: Decimal
    exact_amount: Decimal
    quantity: Decimal | None = None
    charges: tuple[DocumentCharge, ...] = ()
    event_count: int | None = None
    period: tuple[datetime, datetime] | None = None
    covers: tuple[datetime, datetime] | None = None
    type: str = "CHARGE"
    tax_percent: Decimal | None = None
    model: str = ""

    @classmethod
    def of(cls, line: InvoiceLine) -> Self:
        spans = list(line.spans.all())
        return cls(
            description=line.description,
            amount=line.amount,
            exact_amount=line.exact_amount,
            quantity=line.quantity,
            charges=tuple(DocumentCharge.of(stored) for stored in line.charges),
            event_count=sum(map(_rows, spans)) if spans else None,
            period=_period(line.period_start_at, line.period_end_at),
            covers=_period(line.covers_start_at, line.covers_end_at),
            type=line.type,
            tax_percent=line.tax_percent,
            model=str((line.terms or {}).get("model") or ""),
        )

    @property
    def is_tax(self) -> bool:
        return self.type == InvoiceLine.Type.TAX


@dataclass(frozen=True, slots=True)
class Branding:
    """How the seller looks: a picture (PNG, JPEG or SVG), a colour (#rrggbb), a last word."""

    logo: bytes = b""
    accent_color: str = ""
    footer: str = ""


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """One of the invoices that a consolidated one is the sum of."""

    number: str
    name: str
    lines: tuple[DocumentLine, ...]
    total: Decimal
    is_tax_pending: bool = False


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """Everything on the paper. Times are aware; `time_zone` and `language` say how to show them.

    `is_tax_pending`: it is a draft, and its tax has not been calculated yet.
    """

    invoice_id: str
    status: str
    number: str | None
    currency: str
    language: str
    time_zone: str
    seller: Party
    buyer: Party
    period_start_at: datetime
    period_end_at: datetime
    created_at: datetime
    issued_at: datetime | None
    due_at: datetime | None
    lines: tuple[DocumentLine, ...]
    subtotal: Decimal
    discount_total: Decimal
    tax_total: Decimal
    total: Decimal
    digest: bytes
    kind: str = "PERIOD"
    branding: Branding = Branding()
    parts: tuple[DocumentPart, ...] = ()
    is_tax_pending: bool = False

    @property
    def reference(self) -> str:
        """The number once there is one: what a person quotes and `aforo verify` takes."""
        return self.number or self.invoice_id

    @property
    def dated_at(self) -> datetime:
        """The moment the document stands for: its issue, or its making while it is a draft."""
        return self.issued_at or self.created_at


def document_of(invoice: Invoice) -> InvoiceDocument:
    """The document of a stored invoice; prefetch `lines__spans` when there are several."""
    prefetch_related_objects([invoice], "lines__spans", "billing_entity")
    parts = tuple(_parts_of(invoice))
    return InvoiceDocument(
        invoice_id=str(invoice.pk),
        status=invoice.status,
        number=invoice.number,
        currency=invoice.currency,
        language=_text(invoice.buyer, "language") or "en",
        time_zone=_text(invoice.seller, "timeZone") or "UTC",
        seller=Party.of(invoice.seller),
        buyer=Party.of(invoice.buyer),
        period_start_at=invoice.period_start_at,
        period_end_at=invoice.period_end_at,
        created_at=invoice.created_at,
        issued_at=invoice.issued_at,
        due_at=invoice.due_at,
        lines=_lines_of(invoice),
        subtotal=invoice.subtotal,
        discount_total=invoice.discount_total,
        tax_total=invoice.tax_total,
        total=invoice.total,
        digest=bytes(invoice.digest),
        kind=invoice.kind,
        branding=_branding_of(invoice),
        parts=parts,
        is_tax_pending=_is_tax_pending(invoice) or any(part.is_tax_pending for part in parts),
    )


def _lines_of(invoice: Invoice) -> tuple[DocumentLine, ...]:
    return tuple(DocumentLine.of(line) for line in invoice.lines.all())


def _parts_of(invoice: Invoice) -> Iterator[DocumentPart]:
    if invoice.kind != Invoice.Kind.CONSOLIDATED:
        return
    for part in parts_of(invoice).prefetch_related("lines__spans"):
        name = Party.of(part.buyer).name
        lines, pending = _lines_of(part), _is_tax_pending(part)
        yield DocumentPart(str(part), name, lines, part.total, is_tax_pending=pending)


def _is_tax_pending(invoice: Invoice) -> bool:
    is_draft = invoice.status == Invoice.Status.DRAFT
    return is_draft and invoice.tax_status != Invoice.TaxStatus.SETTLED


def _branding_of(invoice: Invoice) -> Branding:
    """Colour and last word as copied, where they were; the picture is today's."""
    entity = invoice.billing_entity
    today = {"accentColor": entity.accent_color, "footer": entity.footer}
    said = today | invoice.seller
    return Branding(
        logo=bytes(entity.logo or b""),
        accent_color=_text(said, "accentColor"),
        footer=_text(said, "footer"),
    )


def _rows(span: BillRunEventIndex) -> int:
    """Rows that prove it: a correction is one more."""
    return span.last_position - span.first_position + 1


def _period(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime] | None:
    return None if start is None or end is None else (start, end)


def _text(copied: Mapping[str, object], key: str) -> str:
    return str(copied.get(key) or "").strip()
