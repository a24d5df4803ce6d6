"""The invoices that a consolidated one is the sum of."""

from django.db.models import QuerySet

from billing.models import Invoice

PART_ORDER = ("customer__external_id", "period_end_at", "created_at", "id")


def parts_of(invoice: Invoice) -> QuerySet[Invoice]:
    """In the order of their numbers, which is that of their digests too."""
    parts: QuerySet[Invoice] = Invoice.objects.for_tenant(invoice.tenant_id)
    return parts.filter(part_of=invoice).order_by(*PART_ORDER)
