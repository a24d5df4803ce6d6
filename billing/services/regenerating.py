"""Making an invoice anew: a draft in its place, or another one instead of a void one."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from aforo.errors import Conflict, Refused
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from billing.selectors.periods import adjustable_periods, billable_periods
from billing.services.consolidation import consolidate, in_part_order, issue_after_grace, sum_up
from billing.services.copying import NewInvoice
from billing.services.drafting import Work, draft_invoices, in_order
from billing.services.invoice_states import locked_invoice, require_whole
from billing.services.openings import draft_openings
from billing.services.progress import draft_progress, running_period
from billing.services.unbilling import forget_grants, lock_to_unbill, require_last, unbill

Kind, Status = Invoice.Kind, Invoice.Status
Ids = Mapping[UUID, UUID]


@transaction.atomic
def refresh_invoice(*, invoice: Invoice, actor: Actor, now: datetime, reason: str = "") -> Invoice:
    """Read the totals of a draft again and move its watermark to where they stand now.

    It keeps its id and its days of grace. A consolidated one is refreshed part by part. Conflict
    when it is no draft, or a later invoice has built on it.
    """
    locked = locked_invoice(invoice)
    require_whole(locked)
    if locked.status != Status.DRAFT:
        raise Conflict(f"invoice {locked} is {locked.status}: only a draft is refreshed",
                       code="INVOICE_NOT_A_DRAFT")  # fmt: skip
    if locked.kind == Kind.CONSOLIDATED:
        _refresh_whole(locked, now=now)
    else:
        _redraft(locked, now=now)
    fresh = locked_invoice(invoice)
    changes = audit.differences({"total": str(locked.total)}, {"total": str(fresh.total)})
    _record("INVOICE_REFRESHED", fresh, changes, actor=actor, now=now, reason=reason)
    return fresh


def _refresh_whole(whole: Invoice, *, now: datetime) -> None:
    rows = Invoice.objects.for_tenant(whole.tenant_id).filter(part_of=whole)
    parts = list(in_part_order(rows.select_related("period")))
    _lock(whole)
    taken_back = [(part, _take_back(part, now=now)) for part in reversed(parts)]
    for part, old in reversed(taken_back):
        _draft_again(part, old, now=now)
    sum_up(whole)


def _lock(invoice: Invoice) -> None:
    """Wait for whoever bills or counts the same: of all parts at once, in one order."""
    rows = Invoice.objects.for_tenant(invoice.tenant_id)
    lock_to_unbill(list(rows.filter(Q(pk=invoice.pk) | Q(part_of=invoice))))


def _redraft(draft: Invoice, *, now: datetime) -> None:
    """Take back what a draft has done and draft it again, in place."""
    _draft_again(draft, _take_back(draft, now=now), now=now)


def _take_back(draft: Invoice, *, now: datetime) -> UUID:
    """Undo and delete a draft; the id that it had."""
    unbill(draft, now=now)
    old = draft.pk
    draft.delete()
    return old


def _draft_again(draft: Invoice, old: UUID, *, now: datetime) -> None:
    assert draft.period_id is not None  # noqa: S101 - only a consolidated one has none
    _draft(draft, ids={draft.period_id: old}, replaces={}, run_id=draft.bill_run_id, now=now)
    Invoice.objects.for_tenant(draft.tenant_id).filter(pk=old).update(
        draft_until=draft.draft_until, part_of=draft.part_of_id, replaces=draft.replaces_id
    )


@transaction.atomic
def regenerate_invoice(
    *, invoice: Invoice, actor: Actor, now: datetime, finalize: bool = False, reason: str = ""
) -> Invoice:
    """Make the invoice that stands instead of a void one, once: a draft, unless it is to be final.

    Again returns the one that was made. Conflict when the invoice is not void or is a part, or when
    later periods have been billed without it: those invoices go first.
    """
    locked = locked_invoice(invoice)
    require_whole(locked)
    if locked.status != Status.VOID:
        raise Conflict(f"invoice {locked} is {locked.status}, not void", code="INVOICE_NOT_VOID")
    _lock(locked)  # before anything is looked at that a run beside this may change
    made = Invoice.objects.for_tenant(locked.tenant_id).filter(replaces=locked)
    later: Invoice | None = made.order_by("created_at", "pk").last()
    if later is not None and later.status != Status.VOID:
        return later
    if later is not None:
        return regenerate_invoice(
            invoice=later, actor=actor, now=now, finalize=finalize, reason=reason
        )
    fresh = _replacement(locked, now=now)
    if finalize:
        issue_after_grace(fresh, now=now)
        fresh.refresh_from_db()
    changes: dict[str, object] = {"replaces": str(locked.pk), "total": str(fresh.total)}
    _record("INVOICE_REGENERATED", fresh, changes, actor=actor, now=now, reason=reason)
    return fresh


def _replacement(void: Invoice, *, now: datetime) -> Invoice:
    if void.kind != Kind.CONSOLIDATED:
        return _instead_of(void, now=now)
    rows = Invoice.objects.for_tenant(void.tenant_id)
    parts = in_part_order(rows.filter(part_of=void).select_related("period"))
    fresh = [_instead_of(part, now=now).pk for part in parts]
    drafts = in_part_order(rows.filter(pk__in=fresh).select_related("billing_entity", "customer"))
    return consolidate(
        list(drafts), payer=void.customer, run_id=void.bill_run_id, now=now, replaces=void
    )


def _instead_of(void: Invoice, *, now: datetime) -> Invoice:
    require_last(void)
    assert void.period_id is not None  # noqa: S101 - only a consolidated one has none
    replaces = {void.period_id: void.pk}
    _draft(void, ids={}, replaces=replaces, run_id=void.bill_run_id, now=now)
    rows = Invoice.objects.for_tenant(void.tenant_id).select_related("billing_entity")
    fresh: Invoice = rows.get(replaces=void)
    return fresh


def _draft(old: Invoice, *, ids: Ids, replaces: Ids, run_id: UUID | None, now: datetime) -> None:
    """Draft what `old` was about; Refused when nothing of it is left to bill."""
    forget_grants(old)
    if old.kind == Kind.PROGRESS:
        assert old.subscription is not None  # noqa: S101 - only a consolidated one has none
        period = running_period(old.subscription, now=now)
        draft_progress(period, now=now, final=False, ids=ids, replaces=replaces)
        return
    made = _DRAFTING[old.kind](old, ids, replaces, run_id, now)
    if not made:
        raise Refused("nothing is left to invoice", code="NOTHING_TO_INVOICE")


def _draft_period(
    old: Invoice, ids: Ids, replaces: Ids, run_id: UUID | None, now: datetime
) -> Sequence[NewInvoice]:
    work = _work(old, ids, replaces, run_id)
    return draft_invoices(work, now=now) if work.periods else []


def _draft_opening(
    old: Invoice, ids: Ids, replaces: Ids, run_id: UUID | None, now: datetime
) -> Sequence[NewInvoice]:
    return draft_openings(_work(old, ids, replaces, run_id), now=now)


def _draft_adjustments(
    old: Invoice, ids: Ids, replaces: Ids, run_id: UUID | None, now: datetime
) -> Sequence[NewInvoice]:
    periods = adjustable_periods(tenant_id=old.tenant_id, until=now)
    work = Work(
        tenant_id=old.tenant_id,
        periods=(),
        adjusted=in_order([old.period_id] if old.period_id else [], periods),
        auto_finalize=False,
        run_id=run_id,
        ids=ids,
        replaces=replaces,
    )
    return draft_invoices(work, now=now)


_DRAFTING: Mapping[
    str, Callable[[Invoice, Ids, Ids, UUID | None, datetime], Sequence[NewInvoice]]
] = {
    Kind.PERIOD: _draft_period,
    Kind.OPENING: _draft_opening,
    Kind.ADJUSTMENT: _draft_adjustments,
}


def _work(old: Invoice, ids: Ids, replaces: Ids, run_id: UUID | None) -> Work:
    periods = billable_periods(tenant_id=old.tenant_id)
    return Work(
        tenant_id=old.tenant_id,
        periods=in_order([old.period_id] if old.period_id else [], periods),
        auto_finalize=False,
        run_id=run_id,
        ids=ids,
        replaces=replaces,
    )


def _record(
    action: str,
    invoice: Invoice,
    changes: Mapping[str, object],
    *,
    actor: Actor,
    now: datetime,
    reason: str,
) -> None:
    audit.record(
        tenant=invoice.tenant_id,
        actor=actor,
        action=action,
        target=invoice,
        now=now,
        changes=changes,
        reason=reason,
    )
