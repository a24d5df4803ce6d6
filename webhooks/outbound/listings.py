"""Questions about endpoints and about what was sent to them."""

from aforo.tenancy.models import Tenant, TenantQuerySet
from webhooks.models import OutboundDelivery, WebhookEndpoint


def webhook_endpoints(*, tenant: Tenant) -> TenantQuerySet:
    """The endpoints of a tenant, without those that were removed."""
    return WebhookEndpoint.objects.for_tenant(tenant).filter(archived_at=None)


def outbound_deliveries(*, tenant: Tenant) -> TenantQuerySet:
    """What a tenant's endpoints were or will be sent, newest first: ids rise with time."""
    return OutboundDelivery.objects.for_tenant(tenant).order_by("-id")
