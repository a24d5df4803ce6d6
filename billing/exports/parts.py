"""The invoices that a consolidated one is the sum of."""

from django.db.models import QuerySet

from billing.models import Invoice
from billing.selectors.invoices import PART_ORDER


def parts_of(invoice: Invoice) -> QuerySet[Invoice]:
    """In the order of their numbers, which is that of their digests too."""
    parts: QuerySet[Invoice] = Invoice.objects.for_tenant(invoice.tenant_id)
    return parts.filter(part_of=invoice).order_by(*PART_ORDER)
