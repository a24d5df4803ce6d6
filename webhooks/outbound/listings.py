"""Questions about endpoints and about what was sent to them."""

from aforo.tenancy.models import Tenant, TenantQuerySet
from webhooks.models import (
    AlertRule,
    CustomerPreference,
    OutboundDelivery,
    WebhookEndpoint,
)


def webhook_endpoints(*, tenant: Tenant) -> TenantQuerySet:
    """The endpoints of a tenant, without those that were removed."""
    return WebhookEndpoint.objects.for_tenant(tenant).filter(archived_at=None)


def outbound_deliveries(*, tenant: Tenant) -> TenantQuerySet:
    """What a tenant's endpoints were or will be sent, newest first: ids rise with time."""
    return OutboundDelivery.objects.for_tenant(tenant).order_by("-id")


def alert_rules(*, tenant: Tenant) -> TenantQuerySet:
    """The alert rules of a tenant by name, without those that were removed."""
    return AlertRule.objects.for_tenant(tenant).filter(archived_at=None)


def customer_preferences(*, tenant: Tenant) -> TenantQuerySet:
    """How alerts about single customers of a tenant are told."""
    return CustomerPreference.objects.for_tenant(tenant).select_related("customer")
