"""Consolidated invoices: what a parent pays for itself and its children, as one invoice.

The run bills everybody as usual and leaves the drafts of families alone. When none of a family has
failed and no tax is missing, they become parts of one invoice per currency and seller.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from aforo.ids import new_id
from aforo.money import ZERO, exact
from aforo.queue import enqueue
from aforo.tenancy import clock
from billing.models import BillRun, BillRunItem, Invoice, StageRecord
from billing.selectors.invoices import PART_ORDER
from billing.services.copying import buyer_of
from billing.services.issuing import Issue, issue_drafts
from catalog.models import Customer

FINISHED = (BillRun.Status.COMPLETED, BillRun.Status.PARTIALLY_FAILED)
SETTLED = Invoice.TaxStatus.SETTLED
Group = tuple[UUID, UUID, str]
"""Who pays, who sells, in what currency."""


def consolidate_waiting(*, now: datetime) -> int:
    """Consolidate what finished runs have left for it; the number of invoices made.

    A run does this itself when it finishes: this finds what then lacked its tax, or was retried.
    """
    runs = BillRun.objects.filter(  # any tenant: Beat looks after all
        Exists(_waiting().filter(bill_run=OuterRef("pk"))), status__in=FINISHED
    )
    run_ids = list(runs.order_by("created_at").values_list("pk", flat=True))
    return sum(consolidate_run(run_id=run_id, now=now) for run_id in run_ids)


@transaction.atomic
def consolidate_run(*, run_id: UUID, now: datetime) -> int:
    """Make the consolidated invoices of a run, each once; how many were made or issued.

    Who is a parent without having been billed with a child gets the invoice as it is.
    """
    runs = BillRun.objects.select_for_update(of=("self",), no_key=True)  # any tenant: by id
    run = runs.select_related("tenant").get(pk=run_id)
    failed = _failed_payers(run)
    groups = {key: parts for key, parts in _groups(run).items() if key[0] not in failed}
    at = clock.at(run.tenant, now)
    for parts in groups.values():
        _settle(run, parts, now=at)
    return len(groups)


def _settle(run: BillRun, parts: Sequence[Invoice], *, now: datetime) -> None:
    payer = parts[0].customer.parent or parts[0].customer
    alone = len(parts) == 1 and parts[0].customer_id == payer.pk
    whole = parts[0] if alone else consolidate(parts, payer=payer, run_id=run.pk, now=now)
    if run.auto_finalize:
        issue_after_grace(whole, now=now)


def issue_after_grace(draft: Invoice, *, now: datetime) -> None:
    """Issue a draft, unless its seller grants days of grace or an engine is to tax it.

    Then say from when on it may be issued: Beat does it, or whoever writes its last tax.
    """
    grace, is_taxed = draft.billing_entity.grace_days, draft.tax_status == SETTLED
    if is_taxed and not grace:
        issue_drafts([Issue.of_draft(draft)], now=now)
        return
    draft.draft_until = now + timedelta(days=grace)
    draft.save(update_fields=["draft_until"])
    if not is_taxed:
        enqueue("billing.settle_taxes")


def consolidate(
    parts: Sequence[Invoice],
    *,
    payer: Customer,
    run_id: UUID | None,
    now: datetime,
    replaces: Invoice | None = None,
) -> Invoice:
    """One draft to `payer` over these drafts of one seller and currency, which become its parts."""
    first = parts[0]
    whole = Invoice(
        id=new_id(),
        tenant_id=first.tenant_id,
        customer=payer,
        billing_entity=first.billing_entity,
        bill_run_id=run_id,
        replaces=replaces,
        kind=Invoice.Kind.CONSOLIDATED,
        currency=first.currency,
        seller=first.seller,
        buyer=buyer_of(payer),
        created_at=now,
        **sums_of(parts),
    )
    whole.save(force_insert=True)
    StageRecord.objects.create(tenant_id=first.tenant_id, invoice=whole, stages=[])
    rows = Invoice.objects.for_tenant(first.tenant_id)
    rows.filter(pk__in=[part.pk for part in parts]).update(part_of=whole)
    return whole


def sums_of(parts: Sequence[Invoice]) -> dict[str, object]:
    """What a consolidated invoice says of its parts: their sums, their span, their digests.

    Its tax is settled when that of all of them is.
    """
    digests = b"".join(bytes(part.digest) for part in parts)
    is_taxed = all(part.tax_status == SETTLED for part in parts)
    return {
        "tax_status": SETTLED if is_taxed else Invoice.TaxStatus.PENDING,
        "subtotal": _sum([part.subtotal for part in parts]),
        "discount_total": _sum([part.discount_total for part in parts]),
        "tax_total": _sum([part.tax_total for part in parts]),
        "total": _sum([part.total for part in parts]),
        "period_start_at": min(part.period_start_at for part in parts),
        "period_end_at": max(part.period_end_at for part in parts),
        "digest": hashlib.sha256(digests).digest(),
    }


def sum_up(whole: Invoice) -> None:
    """Let a locked draft say of its parts what they have become."""
    parts = Invoice.objects.for_tenant(whole.tenant_id).filter(part_of=whole)
    sums = sums_of(list(in_part_order(parts)))
    for name, value in sums.items():
        setattr(whole, name, value)
    whole.save(update_fields=list(sums))


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    with exact():
        return sum(amounts, ZERO)


def in_part_order(parts: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """The order of their numbers."""
    return parts.order_by(*PART_ORDER)


def _groups(run: BillRun) -> Mapping[Group, Sequence[Invoice]]:
    """Drafts of the run's families by who pays; those that lack a tax are left for later."""
    drafts = in_part_order(
        _waiting()
        .filter(bill_run=run, tenant=run.tenant_id)
        .select_related("customer__parent", "billing_entity")
    ).select_for_update(of=("self",))
    groups: defaultdict[Group, list[Invoice]] = defaultdict(list)
    for draft in drafts:
        payer_id = draft.customer.parent_id or draft.customer_id
        groups[payer_id, draft.billing_entity_id, draft.currency].append(draft)
    return {
        key: parts
        for key, parts in groups.items()
        if all(part.tax_status == SETTLED for part in parts)
    }


def _waiting() -> QuerySet[Invoice]:
    """Drafts of runs whose customers have a parent or children, and that wait for the others.

    What was made instead of a void one stands alone, and is issued as whoever made it has said.
    """
    children = Customer.objects.filter(parent=OuterRef("customer"))  # any tenant: of the invoice
    drafts: QuerySet[Invoice] = Invoice.objects.filter(  # any tenant: the caller names the run
        Q(customer__parent__isnull=False) | Exists(children),
        status=Invoice.Status.DRAFT,
        part_of=None,
        replaces=None,
        draft_until=None,
    )
    return drafts.exclude(kind=Invoice.Kind.CONSOLIDATED)


def _failed_payers(run: BillRun) -> set[UUID]:
    """Who pays for what the run could not bill (yet)."""
    failed = BillRunItem.objects.for_tenant(run.tenant_id).filter(run=run)
    customer = "period__subscription__customer"
    payers = failed.exclude(status=BillRunItem.Status.BILLED).annotate(
        payer=Coalesce(F(f"{customer}__parent"), F(customer))
    )
    return set(payers.values_list("payer", flat=True))
