"""Questions about sources of pushed usage and about what they pushed."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from aforo.tenancy.models import Tenant, TenantQuerySet
from catalog.selectors.contracts import units_of
from metering.ingest.events import HEARTBEAT, SESSION_SUMMARY
from webhooks.models import WebhookDelivery, WebhookSource

_OF_SESSIONS = {HEARTBEAT, SESSION_SUMMARY}  # metering knows what they are without any unit


def webhook_sources(*, tenant: Tenant) -> TenantQuerySet:
    """The sources of a tenant by name, without those that were removed."""
    sources = WebhookSource.objects.for_tenant(tenant).filter(archived_at=None)
    return sources.prefetch_related("mappings")


def webhook_deliveries(*, tenant: Tenant) -> TenantQuerySet:
    """What was pushed to a tenant, newest first: ids rise with time."""
    return WebhookDelivery.objects.for_tenant(tenant).order_by("-id")


def of_batch(batch_id: UUID) -> Q:
    """The push of which a batch in the inbox came, the first time or when it was replayed."""
    return Q(batch_id=batch_id) | Q(replays__gt=0, later_batches__contains=[batch_id])


def open_sources() -> TenantQuerySet:
    """Sources that may push, whosever they are, with their tenants."""
    sources = WebhookSource.objects.select_related("tenant")  # any tenant: the row decides which
    return sources.filter(is_active=True, archived_at=None)


def metrics_without_unit(tenant_id: UUID, names: Iterable[str]) -> list[str]:
    """Those of these metrics that no billable unit of the tenant counts, by name."""
    return sorted(set(names) - _OF_SESSIONS - {unit.metric for unit in units_of(tenant_id)})


def refused_metrics(tenant_id: UUID, names: Iterable[str]) -> list[str]:
    """The same where events of them are dead letters; none where the tenant takes them unpriced."""
    tenant = Tenant.objects.get(pk=tenant_id)
    is_strict = tenant.unknown_metric == Tenant.UnknownMetric.REJECT
    return metrics_without_unit(tenant_id, names) if is_strict else []
