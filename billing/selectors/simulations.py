"""Simulations of one tenant."""

from django.db.models import QuerySet

from aforo.tenancy.models import Tenant
from billing.models import Simulation


def simulations(*, tenant: Tenant) -> QuerySet[Simulation]:
    """All of them, newest first."""
    rows: QuerySet[Simulation] = Simulation.objects.for_tenant(tenant)
    return rows.order_by("-created_at", "-id")
