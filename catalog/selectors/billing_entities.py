"""Questions about billing entities."""

from aforo.tenancy.models import Tenant, TenantQuerySet
from catalog.models import BillingEntity


def billing_entities(*, tenant: Tenant) -> TenantQuerySet:
    """Those of a tenant, by code."""
    return BillingEntity.objects.for_tenant(tenant).order_by("code")
