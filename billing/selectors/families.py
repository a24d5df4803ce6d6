"""Customers that are invoiced together: a parent and its children."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, OuterRef

from catalog.models import Customer


def in_families(*, tenant_id: UUID, customer_ids: Collection[UUID]) -> set[UUID]:
    """Those of these customers that have a parent, or children."""
    customers = Customer.objects.for_tenant(tenant_id)
    children = customers.filter(parent=OuterRef("pk"))
    named = customers.filter(pk__in=customer_ids)
    found = named.filter(parent__isnull=False) | named.filter(Exists(children))
    return set(found.values_list("pk", flat=True))
