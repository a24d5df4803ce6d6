"""DRAFT to OPEN: an invoice gets its number, its dates, and is announced."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self
from uuid import UUID

from aforo.money import minor_units
from aforo.outbox.services import publish_many
from billing.models import Invoice
from billing.services.copying import NewInvoice
from billing.services.numbers import draw_numbers
from metering.ingest.connection import hot_cursor

_OPEN = """
    UPDATE invoices SET status = %s, issued_at = %s, number = opened.number, due_at = opened.due_at
    FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS opened (id, number, due_at)
    WHERE invoices.id = opened.id
"""
# A part bears the number of the whole and its place in it: the counter gives one number to all.
_OPEN_PARTS = """
    UPDATE invoices SET status = %s, issued_at = %s, due_at = opened.due_at,
        number = opened.number || '/' || opened.place
    FROM (
        SELECT part.id, whole.number, whole.due_at, row_number() OVER (
                   PARTITION BY whole.id
                   ORDER BY c.external_id, part.period_end_at, part.created_at, part.id) AS place
        FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS whole (id, number, due_at)
        JOIN invoices part ON part.part_of_id = whole.id
        JOIN customers c ON c.id = part.customer_id
    ) AS opened
    WHERE invoices.id = opened.id
"""


@dataclass(frozen=True, slots=True)
class Issue:
    """A draft that is to become final, with what the world is told of it."""

    invoice_id: UUID
    tenant_id: UUID
    kind: str
    customer_id: UUID
    subscription_id: UUID | None
    entity_id: UUID
    payment_terms: timedelta
    currency: str
    total: Decimal
    period_start: datetime
    period_end: datetime

    @classmethod
    def of_new(cls, new: NewInvoice) -> Self:
        """A draft that has just been written."""
        subscription = new.period.subscription
        return cls(
            invoice_id=new.id,
            tenant_id=new.tenant_id,
            kind=new.kind,
            customer_id=subscription.customer_id,
            subscription_id=subscription.id,
            entity_id=subscription.billing_entity_id,
            payment_terms=timedelta(days=subscription.billing_entity.payment_terms_days),
            currency=new.result.draft.currency,
            total=new.result.draft.total(),
            period_start=new.facts.period_start,
            period_end=new.facts.period_end,
        )

    @classmethod
    def of_draft(cls, invoice: Invoice) -> Self:
        """A stored draft, read with its billing entity."""
        return cls(
            invoice_id=invoice.id,
            tenant_id=invoice.tenant_id,
            kind=invoice.kind,
            customer_id=invoice.customer_id,
            subscription_id=invoice.subscription_id,
            entity_id=invoice.billing_entity_id,
            payment_terms=timedelta(days=invoice.billing_entity.payment_terms_days),
            currency=invoice.currency,
            total=invoice.total,
            period_start=invoice.period_start_at,
            period_end=invoice.period_end_at,
        )


def issue_drafts(issues: Sequence[Issue], *, now: datetime) -> None:
    """Number, date, open and announce drafts that the caller's transaction holds, parts included.

    The counters are locked here, so nothing that takes long may follow in the transaction.
    """
    if not issues:
        return
    numbers = draw_numbers([issue.entity_id for issue in issues], issued_at=now)
    due = [now + issue.payment_terms for issue in issues]
    ids = [issue.invoice_id for issue in issues]
    opened = (Invoice.Status.OPEN.value, now, ids, numbers, due)
    with hot_cursor() as cursor:
        cursor.execute(_OPEN, opened)
        if any(issue.kind == Invoice.Kind.CONSOLIDATED for issue in issues):
            cursor.execute(_OPEN_PARTS, opened)
    publish_many(
        tenant_id=issues[0].tenant_id,
        fact="invoice.finalized",
        payloads={
            issue.invoice_id: _payload(issue, number, now, due_at)
            for issue, number, due_at in zip(issues, numbers, due, strict=True)
        },
        now=now,
    )


def _payload(issue: Issue, number: str, now: datetime, due_at: datetime) -> dict[str, object]:
    subscription_id = issue.subscription_id
    return {
        "invoiceId": str(issue.invoice_id),
        "number": number,
        "kind": str(issue.kind),
        "customerId": str(issue.customer_id),
        "subscriptionId": None if subscription_id is None else str(subscription_id),
        "currency": issue.currency,
        "total": f"{issue.total:.{minor_units(issue.currency)}f}",
        "periodStart": issue.period_start.isoformat(),
        "periodEnd": issue.period_end.isoformat(),
        "issuedAt": now.isoformat(),
        "dueAt": due_at.isoformat(),
    }
