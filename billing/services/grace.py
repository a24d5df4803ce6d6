"""What becomes of new drafts: issued at once, after their days of grace, or by somebody's hand."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from billing.models import Invoice
from billing.services.copying import NewInvoice
from billing.services.issuing import Issue, issue_drafts
from metering.ingest.connection import hot_cursor

PAGE = 500  # drafts issued in one transaction, with the counters locked
_DATE = """
    UPDATE invoices SET draft_until = d.until
    FROM unnest(%s::uuid[], %s::timestamptz[]) AS d (id, until) WHERE invoices.id = d.id
"""


def issue_or_wait(
    invoices: Sequence[NewInvoice], *, now: datetime, held: Collection[UUID] = ()
) -> None:
    """Issue drafts that are to be final now, and date those that become so by themselves.

    One with days of grace waits for their end, one whose tax is not known yet for the tax engine.
    What is not to be finalized stays a draft, and so do those of `held` customers, which become
    parts of a consolidated invoice.
    """
    final = [
        one
        for one in invoices
        if one.facts.auto_finalize and one.period.subscription.customer_id not in held
    ]
    waiting = [one for one in final if _grace(one) or one.result.draft.tax_pending]
    if waiting:
        until = [now + _grace(one) for one in waiting]
        with hot_cursor() as cursor:
            cursor.execute(_DATE, ([one.id for one in waiting], until))
    if any(one.result.draft.tax_pending for one in invoices):
        enqueue("billing.settle_taxes")
    named = {one.id for one in waiting}
    issue_drafts([Issue.of_new(one) for one in final if one.id not in named], now=now)


def _grace(new: NewInvoice) -> timedelta:
    return timedelta(days=new.period.subscription.billing_entity.grace_days)


def issue_due_drafts(*, now: datetime) -> int:
    """Issue every draft whose days of grace are over and whose tax is known; how many.

    By the clock of each tenant; may run at any time, any number of times.
    """
    tenants = Tenant.objects.order_by("pk")
    return sum(_issue_due(tenant, clock.at(tenant, now)) for tenant in tenants)


def _issue_due(tenant: Tenant, now: datetime) -> int:
    count = 0
    while issued := issue_page(due_drafts(tenant, now), now=now):
        count += issued
    return count


def due_drafts(tenant: Tenant, now: datetime) -> QuerySet[Invoice]:
    """Drafts that nothing but the issue is left of. Parts go with their whole."""
    drafts: QuerySet[Invoice] = Invoice.objects.for_tenant(tenant).filter(
        status=Invoice.Status.DRAFT,
        draft_until__lte=now,
        tax_status=Invoice.TaxStatus.SETTLED,
        part_of=None,
    )
    return drafts


@transaction.atomic
def issue_page(drafts: QuerySet[Invoice], *, now: datetime) -> int:
    """Issue the first of these drafts; none that somebody else holds just now."""
    rows = drafts.select_related("billing_entity").order_by("draft_until", "created_at", "pk")
    locked = rows.select_for_update(of=("self",), skip_locked=True)
    issues = [Issue.of_draft(draft) for draft in locked[:PAGE]]
    issue_drafts(issues, now=now)
    return len(issues)
