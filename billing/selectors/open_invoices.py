"""What customers have not paid yet, in figures."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q, Sum

from billing.models import Invoice


@dataclass(frozen=True, slots=True)
class OpenInvoices:
    """How many are open in one currency, and what they come to; a sandbox's money is no money."""

    currency: str
    is_sandbox: bool
    count: int
    total: Decimal


def open_invoices_of(tenant_ids: Collection[UUID]) -> list[OpenInvoices]:
    """Issued and unpaid invoices of these tenants: live before sandbox, by currency."""
    rows = Invoice.objects.filter(  # any tenant: those named
        tenant__in=tenant_ids, status__in=(Invoice.Status.OPEN, Invoice.Status.OVERDUE)
    )
    sums = (
        rows.order_by()
        .annotate(is_sandbox=Q(tenant__live_twin__isnull=False))
        .values_list("currency", "is_sandbox")
        .annotate(count=Count("pk"), owed=Sum("total"))
    )
    found = [OpenInvoices(*row) for row in sums]
    return sorted(found, key=lambda one: (one.is_sandbox, one.currency))
