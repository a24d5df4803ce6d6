"""Questions about sources of pushed usage and about what they pushed."""

from uuid import UUID

from aforo.tenancy.models import Tenant, TenantQuerySet
from webhooks.models import WebhookDelivery, WebhookSource


def webhook_sources(*, tenant: Tenant) -> TenantQuerySet:
    """The sources of a tenant by name, without those that were removed."""
    sources = WebhookSource.objects.for_tenant(tenant).filter(archived_at=None)
    return sources.prefetch_related("mappings")


def webhook_deliveries(*, tenant: Tenant) -> TenantQuerySet:
    """What was pushed to a tenant, newest first: ids rise with time."""
    return WebhookDelivery.objects.for_tenant(tenant).order_by("-id")


def open_source(source_id: UUID) -> WebhookSource | None:
    """The source with this id and its tenant, if it may push; it is all that says whose it is."""
    sources = WebhookSource.objects.select_related("tenant")  # any tenant: the row decides which
    return sources.filter(pk=source_id, is_active=True, archived_at=None).first()
