"""Sending again: one delivery, or all that meet criteria."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.errors import Refused
from aforo.outbox import waking
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant, TenantQuerySet
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from webhooks.models import OutboundDelivery, WebhookEndpoint
from webhooks.services.endpoints import require_on

State = OutboundDelivery.State
AT_ONCE = 10_000  # of one request
_AGAIN = {"state": State.PENDING, "retry_step": 0, "finished_at": None}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which deliveries: all that meet every criterion that is given."""

    ids: tuple[UUID, ...] = ()
    endpoint_id: UUID | None = None
    state: str = State.FAILED
    fact: str = ""
    since: datetime | None = None
    until: datetime | None = None  # not included


@transaction.atomic
def redeliver(*, delivery: OutboundDelivery, actor: Actor, now: datetime) -> OutboundDelivery:
    """Send one again, at once, whatever became of it; it has the same id and body as before."""
    _lock_endpoints(delivery.tenant, [delivery.endpoint_id])
    own = OutboundDelivery.objects.for_tenant(delivery.tenant_id).select_related("tenant")
    locked: OutboundDelivery = own.select_for_update(of=("self",)).get(pk=delivery.pk)
    require_on(locked.endpoint)
    for name, value in {**_AGAIN, "next_attempt_at": now}.items():
        setattr(locked, name, value)
    locked.save(update_fields=[*_AGAIN, "next_attempt_at"])
    _wake_endpoints(locked.tenant, [locked.endpoint_id])
    audit.record(
        tenant=locked.tenant_id,
        actor=actor,
        action="DELIVERY_SENT_AGAIN",
        target=locked,
        now=clock.at(locked.tenant, now),
    )
    return locked


@transaction.atomic
def redeliver_many(*, tenant: Tenant, chosen: Chosen, actor: Actor, now: datetime) -> int:
    """Send again all that are chosen, of endpoints that are on; how many. At most `AT_ONCE`."""
    if not (chosen.ids or chosen.endpoint_id or chosen.fact or chosen.since):
        raise Refused("say which: ids, endpointId, fact or since")
    rows = _chosen(tenant, chosen)
    found = dict(rows.order_by("pk").values_list("pk", "endpoint_id")[:AT_ONCE])
    endpoint_ids = _lock_endpoints(tenant, set(found.values()))
    locked = rows.filter(pk__in=found).order_by("pk").select_for_update(of=("self",))
    still = list(locked.values_list("pk", flat=True))  # others may have sent some again meanwhile
    again = OutboundDelivery.objects.for_tenant(tenant).filter(pk__in=still)
    count: int = again.update(**_AGAIN, next_attempt_at=now)
    if count:
        _wake_endpoints(tenant, endpoint_ids)
        audit.record(
            tenant=tenant,
            actor=actor,
            action="DELIVERIES_SENT_AGAIN",
            target=tenant,
            now=clock.at(tenant, now),
            changes={"deliveries": count},
        )
    return count


def _chosen(tenant: Tenant, chosen: Chosen) -> TenantQuerySet:
    rows = OutboundDelivery.objects.for_tenant(tenant).filter(endpoint__is_active=True)
    rows = rows.filter(state=chosen.state)
    if chosen.ids:
        rows = rows.filter(pk__in=chosen.ids)
    if chosen.endpoint_id:
        rows = rows.filter(endpoint=chosen.endpoint_id)
    if chosen.fact:
        rows = rows.filter(fact=chosen.fact)
    if chosen.since:
        rows = rows.filter(created_at__gte=chosen.since)
    if chosen.until:
        rows = rows.filter(created_at__lt=chosen.until)
    return rows


def _lock_endpoints(tenant: Tenant, endpoint_ids: Collection[UUID]) -> list[UUID]:
    """Endpoints come before deliveries: so does the carrier lock them, too."""
    own = WebhookEndpoint.objects.for_tenant(tenant).filter(pk__in=endpoint_ids)
    return list(own.order_by("pk").select_for_update().values_list("pk", flat=True))


def _wake_endpoints(tenant: Tenant, endpoint_ids: list[UUID]) -> None:
    """Whoever sends again wants it now: nobody rests."""
    own = WebhookEndpoint.objects.for_tenant(tenant).filter(pk__in=endpoint_ids)
    own.update(resting_until=None)
    waking.after_commit()
