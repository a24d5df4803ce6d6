"""Writing an invoice with everything that belongs to it: COPY, set by set."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from aforo.ids import new_id
from aforo.money import EXACT, ZERO, plain
from billing.models import Invoice
from billing.pipeline import Draft, LateFact, Line, LineType, UsageFact
from billing.services.carried import write_carried
from billing.services.new_invoices import NewInvoice
from catalog.models import BillingEntity, Customer
from catalog.pricing import Charge
from metering.ingest.connection import hot_cursor

__all__ = ["NewInvoice", "buyer_of", "write_drafts"]

Row = tuple[object, ...]

_INVOICE = (
    "id", "tenant_id", "customer_id", "subscription_id", "period_id", "billing_entity_id",
    "bill_run_id", "kind", "status", "currency", "subtotal", "discount_total", "tax_total", "total",
    "period_start_at", "period_end_at", "seller", "buyer", "digest", "tax_status", "created_at",
)  # fmt: skip
_LINE = (
    "id", "tenant_id", "invoice_id", "position", "type", "stage", "description", "unit_id",
    "period_start_at", "period_end_at", "quantity", "exact_amount", "amount", "charges", "terms",
    "version_id", "dimension", "tax_code", "tax_percent", "of_line", "covers_start_at",
    "covers_end_at", "ahead",
)  # fmt: skip
_SPAN = (
    "id", "tenant_id", "line_id", "running_total_id", "first_position", "last_position",
    "event_count", "quantity", "revenue", "digest",
)  # fmt: skip
_ASKED = (
    LineType.CHARGE, LineType.USAGE_FEE, LineType.SETUP_FEE, LineType.PRORATION, LineType.CREDIT,
)  # fmt: skip
_RECORD = ("id", "tenant_id", "invoice_id", "stages")


def write_drafts(
    invoices: Sequence[NewInvoice], *, run_id: UUID | None, created_at: datetime
) -> None:
    """Insert invoices as drafts: lines, spans, stage records, and what they leave to later ones.

    In four statements, and those of `write_carried`.
    """
    _copy("invoices", _INVOICE, (_invoice(one, run_id, created_at) for one in invoices))
    _copy("invoice_lines", _LINE, (row for one in invoices for row in _lines(one)))
    _copy("bill_run_event_index", _SPAN, (row for one in invoices for row in _spans(one)))
    _copy("stage_records", _RECORD, (_record(one) for one in invoices))
    write_carried(invoices, now=created_at)


def _copy(table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with hot_cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _invoice(new: NewInvoice, run_id: UUID | None, created_at: datetime) -> Row:
    subscription, draft = new.period.subscription, new.result.draft
    return (
        new.id,
        new.tenant_id,
        subscription.customer_id,
        subscription.id,
        new.period.id,
        subscription.billing_entity_id,
        run_id,
        new.kind,
        Invoice.Status.DRAFT,
        draft.currency,
        draft.total(*_ASKED),
        EXACT.subtract(ZERO, draft.total(LineType.DISCOUNT)),
        draft.total(LineType.TAX_ADJUSTMENT),
        draft.total(),
        new.facts.period_start,
        new.facts.period_end,
        Jsonb(_seller(subscription.billing_entity)),
        Jsonb(buyer_of(subscription.customer)),
        _digest(draft),
        Invoice.TaxStatus.PENDING if draft.tax_pending else Invoice.TaxStatus.SETTLED,
        created_at,
    )


def _digest(draft: Draft) -> bytes:
    """What is printed on the invoice: SHA-256 over the digests of its spans, in line order."""
    facts = (line.fact or line.late for line in draft.lines)
    return hashlib.sha256(b"".join(fact.digest for fact in facts if fact is not None)).digest()


def _seller(entity: BillingEntity) -> dict[str, str]:
    return {
        "code": entity.code,
        "displayName": entity.display_name,
        "legalName": entity.legal_name,
        "country": entity.country,
        "address": entity.address,
        "taxNumber": entity.tax_number,
        "timeZone": entity.time_zone,
        "accentColor": entity.accent_color,
        "footer": entity.footer,
    }


def buyer_of(customer: Customer) -> dict[str, str]:
    """The customer as the paper shows it."""
    return {
        "externalId": customer.external_id,
        "name": customer.name,
        "email": customer.email,
        "country": customer.country,
        "address": customer.address,
        "taxNumber": customer.tax_number,
        "language": customer.language,
    }


def _lines(new: NewInvoice) -> Iterator[Row]:
    for position, (line_id, line) in enumerate(new.lines, start=1):
        yield (
            line_id,
            new.tenant_id,
            new.id,
            position,
            line.type,
            line.stage,
            line.description,
            line.unit_id,
            None if line.late is None else line.late.period_start,
            None if line.late is None else line.late.period_end,
            line.quantity,
            line.exact_amount,
            line.amount.amount,
            Jsonb([_charge(charge) for charge in line.charges]),
            _terms(line),
            line.version_id,
            _dimension(line),
            line.tax_code,
            line.tax_percent,
            line.of_line,
            *(line.covers or (None, None)),
            line.ahead,
        )


def _dimension(line: Line) -> str:
    fact = line.fact or line.late
    return fact.dimension if fact is not None else ""


def _charge(charge: Charge) -> dict[str, str | None]:
    return {
        "label": charge.label,
        "quantity": plain(charge.quantity),
        "unitPrice": None if charge.unit_price is None else plain(charge.unit_price),
        "amount": plain(charge.amount),
    }


def _terms(line: Line) -> Jsonb | None:
    """The terms that made the price: of gross quantity, already scaled to a partial period."""
    return None if line.terms is None else Jsonb(line.terms.as_dict())


def _spans(new: NewInvoice) -> Iterator[Row]:
    for line_id, line in new.lines:
        if line.fact is not None:
            yield (new_id(), new.tenant_id, line_id, *_whole_span(line.fact))
        elif line.late is not None:
            yield (new_id(), new.tenant_id, line_id, *_late_span(line.late))


def _whole_span(fact: UsageFact) -> Row:
    return (
        fact.running_total_id,
        1,
        fact.position,
        fact.event_count,
        fact.quantity,
        fact.revenue,
        fact.digest,
    )


def _late_span(fact: LateFact) -> Row:
    """What the span adds: spans of one total, one after the other, sum up to all of it."""
    return (
        fact.running_total_id,
        fact.first_position,
        fact.last_position,
        fact.after.count - fact.before.count,
        EXACT.subtract(fact.after.quantity, fact.before.quantity),
        fact.revenue,
        fact.digest,
    )


def _record(new: NewInvoice) -> Row:
    return (
        new_id(),
        new.tenant_id,
        new.id,
        Jsonb([record.as_dict() for record in new.result.records]),
    )
