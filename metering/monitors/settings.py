"""How watchful a tenant's monitors are."""

from aforo.tenancy.models import Tenant
from metering.models import MonitorSettings


def settings_of(tenant: Tenant) -> MonitorSettings:
    """Its row, else one of defaults that is not stored."""
    kept = MonitorSettings.objects.for_tenant(tenant).first()
    return kept or MonitorSettings(tenant=tenant)
