"""What was reported as costs."""

from aforo.tenancy.models import Tenant, TenantQuerySet
from metering.models import CostEvent


def cost_events(*, tenant: Tenant) -> TenantQuerySet:
    """The cost events of a tenant, newest first: ids rise with time."""
    return CostEvent.objects.for_tenant(tenant).order_by("-id")
