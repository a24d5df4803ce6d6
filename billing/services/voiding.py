"""Voiding: an invoice that stands becomes one that asks for nothing. Its number stays used."""

from datetime import datetime

from django.db import transaction

from aforo.errors import Conflict
from aforo.outbox.services import publish
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from billing.services.invoice_states import (
    locked_invoice,
    move,
    require_reason,
    require_transition,
    require_whole,
)
from billing.services.unbilling import lock_to_unbill, unbill

VOID = Invoice.Status.VOID


@transaction.atomic
def void_invoice(*, invoice: Invoice, reason: str, actor: Actor, now: datetime) -> Invoice:
    """Void an unpaid invoice, once; what it billed is unbilled until it is regenerated.

    A consolidated one is voided with its parts. Conflict when it is paid, is itself a part, or a
    later invoice of the subscription has built on it; Refused without a reason.
    """
    reason = require_reason(reason)
    locked = locked_invoice(invoice)
    require_whole(locked)
    if locked.status == VOID:
        return locked
    if locked.status == Invoice.Status.PAID:
        raise Conflict(f"invoice {locked} is paid and cannot be voided", code="INVOICE_TRANSITION")
    require_transition(locked, VOID)
    parts = _latest_first(locked)
    lock_to_unbill(parts)
    for one in parts:
        unbill(one, now=now)
        Invoice.objects.for_tenant(one.tenant_id).filter(pk=one.pk).update(status=VOID)
    move(locked, VOID, actor=actor, now=now, reason=reason, action="INVOICE_VOIDED")
    publish(
        tenant_id=locked.tenant_id,
        fact="invoice.voided",
        subject=locked.pk,
        payload={
            "invoiceId": str(locked.pk),
            "number": locked.number,
            "customerId": str(locked.customer_id),
            "reason": reason,
        },
        now=now,
    )
    return locked


def _latest_first(locked: Invoice) -> list[Invoice]:
    """The invoice alone, or its parts: of one subscription, the last period goes first."""
    if locked.kind != Invoice.Kind.CONSOLIDATED:
        return [locked]
    parts = Invoice.objects.for_tenant(locked.tenant_id).filter(part_of=locked)
    ordered = parts.select_for_update(of=("self",)).select_related("period").order_by("pk")
    return sorted(ordered, key=_place, reverse=True)


def _place(invoice: Invoice) -> tuple[datetime, datetime, str]:
    start = invoice.period.start_at if invoice.period else invoice.period_start_at
    return start, invoice.created_at, str(invoice.pk)
