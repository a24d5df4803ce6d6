"""Invoices: drafted from finished periods, finalized once, never changed after that."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from aforo.errors import Conflict
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing import pipeline
from billing.models import BillRun, Invoice
from billing.selectors.periods import adjustable_periods, unbilled_periods
from billing.services.copying import NewInvoice, write_drafts
from billing.services.facts import facts_for
from billing.services.issuing import Issue, issue_drafts
from catalog.models import SubscriptionPeriod
from metering.services.watermarks import defer_late, stamp_billed


@transaction.atomic
def bill_periods(*, run: BillRun, period_ids: Collection[UUID], now: datetime) -> int:
    """Invoice finished periods of one tenant, each once; the number of invoices made.

    The first invoice of a subscription here also bills what its earlier periods took since they
    were billed. Of periods that are billed already, the last ones of ended subscriptions, nothing
    but such late usage is billed, if there is any.

    One transaction for all of them: their totals are locked together, read once, and stamped with
    how far they are billed. `now` is on the tenant's clock. Raises StageFailed for the first
    period that cannot be billed, and then none of them is.
    """
    periods = _unbilled(run.tenant_id, period_ids)
    adjusted = _ended(run.tenant_id, period_ids, now=now)
    facts = facts_for(
        tenant_id=run.tenant_id,
        periods=periods,
        auto_finalize=run.auto_finalize,
        adjusted=adjusted,
    )
    results = {period_id: pipeline.run(one) for period_id, one in facts.items()}
    invoices = [NewInvoice.of(one, facts[one.id], results[one.id]) for one in periods]
    invoices += [
        NewInvoice.of(one, facts[one.id], results[one.id], kind=Invoice.Kind.ADJUSTMENT)
        for one in adjusted
        if results[one.id].draft.lines
    ]
    stamp_billed([total_id for one in invoices for total_id in one.billed_total_ids])
    defer_late([one for result in results.values() for one in result.draft.deferred], now=now)
    write_drafts(invoices, run_id=run.id, created_at=now)
    issue_drafts([_issue(one) for one in invoices if one.result.draft.finalize], now=now)
    return len(invoices)


@transaction.atomic
def finalize_invoice(*, invoice: Invoice, actor: Actor, now: datetime) -> Invoice:
    """Give a draft its number and open it, once; an issued invoice is returned as it is."""
    locked: Invoice = (
        Invoice.objects.for_tenant(invoice.tenant_id)
        .select_related("billing_entity")
        .select_for_update(of=("self",))
        .get(pk=invoice.pk)
    )
    if locked.status == Invoice.Status.VOID:
        raise Conflict(f"invoice {locked} is void and cannot be issued", code="INVOICE_VOID")
    if locked.status != Invoice.Status.DRAFT:
        return locked
    audit.record(
        tenant=locked.tenant_id,
        actor=actor,
        action="INVOICE_FINALIZED",
        target=locked,
        now=now,
        changes=audit.differences({"status": locked.status}, {"status": Invoice.Status.OPEN}),
    )
    issue_drafts([_issue_of_draft(locked)], now=now)
    locked.refresh_from_db()
    return locked


def _unbilled(tenant_id: UUID, period_ids: Collection[UUID]) -> Sequence[SubscriptionPeriod]:
    """In the order in which they will be numbered."""
    return _in_order(period_ids, unbilled_periods(tenant_id=tenant_id))


def _ended(
    tenant_id: UUID, period_ids: Collection[UUID], *, now: datetime
) -> Sequence[SubscriptionPeriod]:
    return _in_order(period_ids, adjustable_periods(tenant_id=tenant_id, until=now))


def _in_order(
    period_ids: Collection[UUID], periods: QuerySet[SubscriptionPeriod]
) -> Sequence[SubscriptionPeriod]:
    return list(
        periods.filter(id__in=period_ids)
        .select_related(
            "subscription__offering", "subscription__customer", "subscription__billing_entity"
        )
        .order_by("subscription__customer__external_id", "end_at", "id")
    )


def _issue(new: NewInvoice) -> Issue:
    subscription = new.period.subscription
    return Issue(
        invoice_id=new.id,
        tenant_id=new.tenant_id,
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        entity_id=subscription.billing_entity_id,
        payment_terms=timedelta(days=subscription.billing_entity.payment_terms_days),
        currency=new.result.draft.currency,
        total=new.result.draft.total(),
        period_start=new.facts.period_start,
        period_end=new.facts.period_end,
    )


def _issue_of_draft(invoice: Invoice) -> Issue:
    return Issue(
        invoice_id=invoice.id,
        tenant_id=invoice.tenant_id,
        customer_id=invoice.customer_id,
        subscription_id=invoice.subscription_id,
        entity_id=invoice.billing_entity_id,
        payment_terms=timedelta(days=invoice.billing_entity.payment_terms_days),
        currency=invoice.currency,
        total=invoice.total,
        period_start=invoice.period_start_at,
        period_end=invoice.period_end_at,
    )
