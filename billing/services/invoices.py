"""Invoices: drafted from finished periods, finalized once, never changed after that."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, Invoice
from billing.selectors.families import in_families
from billing.selectors.periods import adjustable_periods, openable_periods, unbilled_periods
from billing.services.drafting import Work, draft_invoices, hold, in_order, place_of, waves
from billing.services.grace import issue_or_wait
from billing.services.invoice_states import locked_invoice, require_whole
from billing.services.issuing import Issue, issue_drafts
from billing.services.locking import lock_for_billing
from billing.services.openings import draft_openings
from catalog.models import SubscriptionPeriod


@transaction.atomic
def bill_periods(*, run: BillRun, period_ids: Collection[UUID], now: datetime) -> int:
    """Invoice periods of one tenant, each once; the number of invoices made.

    Of a period that has begun and owes fees in advance, the opening; of a finished one, its
    invoice. The first invoice of a subscription here also bills what its earlier periods took since
    they were billed. Of periods that are billed already, the last ones of ended subscriptions,
    nothing but such late usage is billed, if there is any.

    One transaction for all of them: their subscriptions are locked before it is read what is not
    billed, their totals are locked together, read once, and stamped with how far they are billed.
    `now` is on the tenant's clock. Raises StageFailed for the first period that cannot be billed,
    and then none of them is.
    """
    tenant_id = run.tenant_id
    owners = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(pk__in=period_ids)
    lock_for_billing(tenant_id, set(owners.values_list("subscription_id", flat=True)))
    work = Work(
        tenant_id=tenant_id,
        periods=in_order(period_ids, unbilled_periods(tenant_id=tenant_id, until=now)),
        adjusted=in_order(period_ids, adjustable_periods(tenant_id=tenant_id, until=now)),
        auto_finalize=run.auto_finalize,
        run_id=run.id,
    )
    hold(work)
    openings = in_order(period_ids, openable_periods(tenant_id=tenant_id, until=now))
    # Openings first: the invoice of a period does not ask again for what was asked in advance.
    invoices = draft_openings(replace(work, periods=openings, adjusted=()), now=now)
    for wave in waves(work):
        invoices += draft_invoices(wave, now=now)
    invoices.sort(key=place_of)
    customer_ids = {one.period.subscription.customer_id for one in invoices}
    held = in_families(tenant_id=tenant_id, customer_ids=customer_ids)
    issue_or_wait(invoices, now=now, held=held)
    return len(invoices)


@transaction.atomic
def finalize_invoice(*, invoice: Invoice, actor: Actor, now: datetime, reason: str = "") -> Invoice:
    """Give a draft its number and open it, once; an issued invoice is returned as it is.

    A consolidated one is opened with its parts. Conflict for a part, for a void invoice, and for
    one whose tax is not known yet.
    """
    locked = locked_invoice(invoice)
    require_whole(locked)
    if locked.status == Invoice.Status.VOID:
        raise Conflict(f"invoice {locked} is void and cannot be issued", code="INVOICE_VOID")
    if locked.status != Invoice.Status.DRAFT:
        return locked
    if locked.tax_status != Invoice.TaxStatus.SETTLED:
        raise Conflict(f"the tax of {locked} is not known yet", code="TAX_NOT_SETTLED")
    audit.record(
        tenant=locked.tenant_id,
        actor=actor,
        action="INVOICE_FINALIZED",
        target=locked,
        now=now,
        changes=audit.differences({"status": locked.status}, {"status": Invoice.Status.OPEN}),
        reason=reason,
    )
    issue_drafts([Issue.of_draft(locked)], now=now)
    locked.refresh_from_db()
    return locked
