"""What of a running period has been asked for already, by invoices of usage so far."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import Coalesce

from billing.models import Invoice, InvoiceLine
from billing.pipeline import EarlierFact

TAX = "Tax"  # the stage whose lines are no part of what was asked for usage


def earlier_facts(
    *, tenant_id: UUID, period_ids: Collection[UUID]
) -> Mapping[UUID, tuple[EarlierFact, ...]]:
    """Standing PROGRESS invoices of these periods, by period, the oldest first."""
    rows = (
        InvoiceLine.objects.for_tenant(tenant_id)
        .filter(invoice__period__in=period_ids, invoice__kind=Invoice.Kind.PROGRESS)
        .exclude(invoice__status=Invoice.Status.VOID)
        .exclude(stage=TAX)
        .order_by("invoice__created_at", "invoice_id")
        .values_list("invoice__period_id", "invoice_id", "invoice__number")
        .annotate(asked=Coalesce(Sum("amount"), Decimal(0)))
    )
    found: defaultdict[UUID, list[EarlierFact]] = defaultdict(list)
    for period_id, invoice_id, number, asked in rows:
        found[period_id].append(EarlierFact(invoice_id, number or "", asked))
    return {period_id: tuple(facts) for period_id, facts in found.items()}
