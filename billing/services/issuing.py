"""DRAFT to OPEN: an invoice gets its number, its dates, and is announced."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from aforo.money import minor_units
from aforo.outbox.services import publish_many
from billing.models import Invoice
from billing.services.numbers import draw_numbers
from metering.ingest.connection import hot_cursor

_OPEN = """
    UPDATE invoices SET status = %s, issued_at = %s, number = opened.number, due_at = opened.due_at
    FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS opened (id, number, due_at)
    WHERE invoices.id = opened.id
"""


@dataclass(frozen=True, slots=True)
class Issue:
    """A draft that is to become final, with what the world is told of it."""

    invoice_id: UUID
    tenant_id: UUID
    customer_id: UUID
    subscription_id: UUID
    entity_id: UUID
    payment_terms: timedelta
    currency: str
    total: Decimal
    period_start: datetime
    period_end: datetime


def issue_drafts(issues: Sequence[Issue], *, now: datetime) -> None:
    """Number, date, open and announce drafts that the caller's transaction holds.

    The counters are locked here, so nothing that takes long may follow in the transaction.
    """
    if not issues:
        return
    numbers = draw_numbers([issue.entity_id for issue in issues], issued_at=now)
    due = [now + issue.payment_terms for issue in issues]
    ids = [issue.invoice_id for issue in issues]
    with hot_cursor() as cursor:
        cursor.execute(_OPEN, (Invoice.Status.OPEN.value, now, ids, numbers, due))
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
    return {
        "invoiceId": str(issue.invoice_id),
        "number": number,
        "customerId": str(issue.customer_id),
        "subscriptionId": str(issue.subscription_id),
        "currency": issue.currency,
        "total": f"{issue.total:.{minor_units(issue.currency)}f}",
        "periodStart": issue.period_start.isoformat(),
        "periodEnd": issue.period_end.isoformat(),
        "issuedAt": now.isoformat(),
        "dueAt": due_at.isoformat(),
    }
