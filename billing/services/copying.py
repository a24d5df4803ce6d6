"""Writing an invoice with everything that belongs to it: COPY, set by set."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from aforo.ids import new_id
from aforo.money import EXACT, ZERO, plain
from billing.models import Invoice
from billing.pipeline import Draft, Facts, Line, LineType, Result, UsageFact
from catalog.models import BillingEntity, Customer, SubscriptionPeriod
from catalog.pricing import Charge
from metering.ingest.connection import hot_cursor

Row = tuple[object, ...]

_INVOICE = (
    "id", "tenant_id", "customer_id", "subscription_id", "period_id", "billing_entity_id",
    "bill_run_id", "status", "currency", "subtotal", "discount_total", "tax_total", "total",
    "period_start_at", "period_end_at", "seller", "buyer", "digest", "created_at",
)  # fmt: skip
_LINE = (
    "id", "tenant_id", "invoice_id", "position", "type", "stage", "description", "unit_id",
    "quantity", "exact_amount", "amount", "charges", "terms",
)  # fmt: skip
_SPAN = (
    "id", "tenant_id", "line_id", "running_total_id", "first_position", "last_position",
    "event_count", "quantity", "revenue", "digest",
)  # fmt: skip
_RECORD = ("id", "tenant_id", "invoice_id", "stages")


@dataclass(frozen=True, slots=True)
class NewInvoice:
    """A priced period on its way to the database. Lines get their ids in their order."""

    id: UUID
    period: SubscriptionPeriod
    facts: Facts
    result: Result
    line_ids: tuple[UUID, ...]

    @classmethod
    def of(cls, period: SubscriptionPeriod, facts: Facts, result: Result) -> "NewInvoice":
        return cls(new_id(), period, facts, result, tuple(new_id() for _ in result.draft.lines))

    @property
    def tenant_id(self) -> UUID:
        return self.period.tenant_id

    @property
    def lines(self) -> Iterator[tuple[UUID, Line]]:
        return zip(self.line_ids, self.result.draft.lines, strict=True)


def write_drafts(invoices: Sequence[NewInvoice], *, run_id: UUID, created_at: datetime) -> None:
    """Insert invoices as drafts, with lines, spans and stage records, in four statements."""
    _copy("invoices", _INVOICE, (_invoice(one, run_id, created_at) for one in invoices))
    _copy("invoice_lines", _LINE, (row for one in invoices for row in _lines(one)))
    _copy("bill_run_event_index", _SPAN, (row for one in invoices for row in _spans(one)))
    _copy("stage_records", _RECORD, (_record(one) for one in invoices))


def _copy(table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with hot_cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _invoice(new: NewInvoice, run_id: UUID, created_at: datetime) -> Row:
    subscription, draft = new.period.subscription, new.result.draft
    return (
        new.id,
        new.tenant_id,
        subscription.customer_id,
        subscription.id,
        new.period.id,
        subscription.billing_entity_id,
        run_id,
        Invoice.Status.DRAFT,
        draft.currency,
        draft.total(LineType.CHARGE, LineType.USAGE_FEE),
        EXACT.subtract(ZERO, draft.total(LineType.DISCOUNT)),
        draft.total(LineType.TAX_ADJUSTMENT),
        draft.total(),
        new.period.start_at,
        new.period.end_at,
        Jsonb(_seller(subscription.billing_entity)),
        Jsonb(_buyer(subscription.customer)),
        _digest(draft),
        created_at,
    )


def _digest(draft: Draft) -> bytes:
    """What is printed on the invoice: SHA-256 over the digests of its spans, in line order."""
    return hashlib.sha256(
        b"".join(line.fact.digest for line in draft.lines if line.fact is not None)
    ).digest()


def _seller(entity: BillingEntity) -> dict[str, str]:
    return {
        "code": entity.code,
        "displayName": entity.display_name,
        "legalName": entity.legal_name,
        "country": entity.country,
        "address": entity.address,
        "taxNumber": entity.tax_number,
        "timeZone": entity.time_zone,
    }


def _buyer(customer: Customer) -> dict[str, str]:
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
            line.quantity,
            line.exact_amount,
            line.amount.amount,
            Jsonb([_charge(charge) for charge in line.charges]),
            None if line.fact is None else Jsonb(_terms(line.fact, new.facts)),
        )


def _charge(charge: Charge) -> dict[str, str | None]:
    return {
        "label": charge.label,
        "quantity": plain(charge.quantity),
        "unitPrice": None if charge.unit_price is None else plain(charge.unit_price),
        "amount": plain(charge.amount),
    }


def _terms(fact: UsageFact, facts: Facts) -> dict[str, object]:
    """The terms that made the price: of gross quantity, already scaled to a partial period."""
    terms = fact.terms
    if facts.is_partial:
        terms = terms.prorated(facts.seconds, facts.whole_seconds)
    return terms.as_dict()


def _spans(new: NewInvoice) -> Iterator[Row]:
    for line_id, line in new.lines:
        if line.fact is not None:
            fact = line.fact
            yield (
                new_id(),
                new.tenant_id,
                line_id,
                fact.running_total_id,
                1,
                fact.position,
                fact.event_count,
                fact.quantity,
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
