"""The states of an invoice: which may follow which, and the moves that are not an issue or a void.

DRAFT -> OPEN -> PAID, OPEN -> OVERDUE -> UNCOLLECTIBLE, and VOID from whatever is not paid.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.outbox.services import publish_many
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice

Status = Invoice.Status

LEGAL: Mapping[str, frozenset[str]] = {
    Status.DRAFT: frozenset({Status.OPEN, Status.VOID}),
    Status.OPEN: frozenset({Status.PAID, Status.OVERDUE, Status.VOID}),
    Status.OVERDUE: frozenset({Status.PAID, Status.UNCOLLECTIBLE, Status.VOID}),
    Status.UNCOLLECTIBLE: frozenset({Status.VOID}),
    Status.PAID: frozenset(),
    Status.VOID: frozenset(),
}
PAGE = 1_000  # invoices that become overdue in one transaction


def locked_invoice(invoice: Invoice) -> Invoice:
    """The row as it stands now, locked until the caller's transaction ends."""
    rows = Invoice.objects.for_tenant(invoice.tenant_id).select_for_update(of=("self",))
    locked: Invoice = rows.select_related("billing_entity", "tenant").get(pk=invoice.pk)
    return locked


def require_transition(invoice: Invoice, to: Status) -> None:
    """Conflict when an invoice of this status never becomes `to`."""
    if to not in LEGAL[invoice.status]:
        raise Conflict(
            f"invoice {invoice} is {invoice.status} and cannot become {to}",
            code="INVOICE_TRANSITION",
        )


def require_reason(reason: str) -> str:
    """The reason without the space around it; refused when nothing is left."""
    kept = reason.strip()
    if not kept:
        raise Refused.naming("reason", "REQUIRED", "say why")
    return kept


def require_whole(invoice: Invoice) -> None:
    """Conflict for a part: what happens to it happens to the consolidated invoice."""
    if invoice.part_of_id is not None:
        raise Conflict(
            f"invoice {invoice} is a part of a consolidated one, {invoice.part_of_id}:"
            " whatever is to be done to it is done to that one",
            code="INVOICE_IS_A_PART",
        )


@transaction.atomic
def mark_uncollectible(*, invoice: Invoice, reason: str, actor: Actor, now: datetime) -> Invoice:
    """Give up on an overdue invoice, parts included; once, by somebody who says why."""
    reason = require_reason(reason)
    locked = locked_invoice(invoice)
    require_whole(locked)
    if locked.status == Status.UNCOLLECTIBLE:
        return locked
    require_transition(locked, Status.UNCOLLECTIBLE)
    move(locked, Status.UNCOLLECTIBLE, actor=actor, now=now, reason=reason)
    _tell(locked.tenant_id, "invoice.uncollectible", [locked], now=now)
    return locked


def move(
    locked: Invoice, to: Status, *, actor: Actor, now: datetime, reason: str = "", action: str = ""
) -> None:
    """Write the status of a locked invoice and its parts, and who did it."""
    before = locked.status
    locked.status = to
    locked.save(update_fields=["status"])
    Invoice.objects.for_tenant(locked.tenant_id).filter(part_of=locked).update(status=to)
    audit.record(
        tenant=locked.tenant_id,
        actor=actor,
        action=action or f"INVOICE_{to}",
        target=locked,
        now=now,
        changes=audit.differences({"status": before}, {"status": to}),
        reason=reason,
    )


def mark_overdue(*, now: datetime) -> int:
    """Let every open invoice become overdue that is past its due date; how many did.

    By the clock of each tenant. Where nothing is owed, nothing is overdue.
    """
    return sum(_mark_overdue(tenant, clock.at(tenant, now)) for tenant in Tenant.objects.all())


def _mark_overdue(tenant: Tenant, now: datetime) -> int:
    count = 0
    while found := _page_overdue(tenant, now):
        count += found
    return count


@transaction.atomic
def _page_overdue(tenant: Tenant, now: datetime) -> int:
    rows = Invoice.objects.for_tenant(tenant).filter(
        status=Status.OPEN, due_at__lte=now, total__gt=0
    )
    locked = rows.order_by("pk").select_for_update(of=("self",), skip_locked=True)
    overdue = list(locked[:PAGE])
    ids = [invoice.pk for invoice in overdue]
    Invoice.objects.for_tenant(tenant).filter(pk__in=ids).update(status=Status.OVERDUE)
    for invoice in overdue:
        invoice.status = Status.OVERDUE
    whole = [invoice for invoice in overdue if invoice.part_of_id is None]
    _tell(tenant.pk, "invoice.overdue", whole, now=now)
    return len(overdue)


def _tell(tenant_id: UUID, fact: str, invoices: list[Invoice], *, now: datetime) -> None:
    """Parts are not told of: the consolidated invoice is."""
    publish_many(
        tenant_id=tenant_id,
        fact=fact,
        payloads={
            invoice.pk: {
                "invoiceId": str(invoice.pk),
                "number": invoice.number,
                "customerId": str(invoice.customer_id),
                "status": invoice.status,
                "currency": invoice.currency,
                "total": str(invoice.total),
            }
            for invoice in invoices
        },
        now=now,
    )
