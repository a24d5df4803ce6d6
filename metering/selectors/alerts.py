"""Alerts as people look at them."""

from django.db.models import QuerySet

from aforo.tenancy.models import Tenant
from metering.models import Alert


def alerts(*, tenant: Tenant) -> QuerySet[Alert]:
    """All alerts of a tenant, newest first: ids rise with time."""
    rows: QuerySet[Alert] = Alert.objects.for_tenant(tenant)
    return rows.select_related("customer", "unit").order_by("-id")
