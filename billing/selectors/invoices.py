"""Invoices, alone or with everything that explains them."""

from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from aforo.tenancy.models import Tenant
from billing.models import BillRunEventIndex, Invoice, InvoiceLine

PART_ORDER = ("customer__external_id", "period_end_at", "created_at", "id")
"""The order in which the parts of a consolidated invoice are numbered."""


def invoices(*, tenant: Tenant) -> QuerySet[Invoice]:
    """The tenant's invoices with their customers, newest first."""
    rows: QuerySet[Invoice] = Invoice.objects.for_tenant(tenant)
    return rows.select_related("customer").order_by("-created_at", "-id")


def explained_invoices(*, tenant: Tenant) -> QuerySet[Invoice]:
    """Invoices with their lines, the spans behind the lines, their stage records, their parts."""
    spans = BillRunEventIndex.objects.for_tenant(tenant).order_by("running_total_id")
    lines = InvoiceLine.objects.for_tenant(tenant).order_by("position")
    explained = Prefetch("lines", lines.prefetch_related(Prefetch("spans", spans)))
    parts = Invoice.objects.for_tenant(tenant).select_related("customer").order_by(*PART_ORDER)
    return (
        invoices(tenant=tenant)
        .select_related("stage_record")
        .prefetch_related(explained, Prefetch("parts", parts))
    )


def invoices_called(reference: str, *, tenant: str = "") -> list[Invoice]:
    """Invoices with this number or id, of the tenant with this slug or id where one is named.

    Numbers are unique per billing entity only, so there may be several.
    """
    rows = Invoice.objects.select_related("tenant", "period")  # any tenant: an operator asks
    named = Q(number=reference)
    if _is_id(reference):
        named |= Q(pk=reference)
    if tenant:
        owner = Q(tenant__slug=tenant)
        rows = rows.filter(owner | Q(tenant_id=tenant) if _is_id(tenant) else owner)
    return list(rows.filter(named).order_by("tenant__slug", "created_at"))


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
