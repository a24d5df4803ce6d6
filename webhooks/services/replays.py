"""Mapping pushes again, after their source's mapping was mended: one, or all that meet criteria."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant, TenantQuerySet
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.services.deliveries import MAPPING
from webhooks.services.pushes import Verdict

# What a sender has proven and we could read; the ledger judges events that counted already.
REPLAYABLE = (Verdict.UNMAPPED, Verdict.FILTERED, Verdict.ACCEPTED, Verdict.DUPLICATE)
AT_ONCE = 1_000  # of one request: a page of criteria can be sent again


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which pushes: all that meet every criterion that is given."""

    ids: tuple[UUID, ...] = ()
    source_id: UUID | None = None
    verdict: str = Verdict.UNMAPPED
    since: datetime | None = None
    until: datetime | None = None  # not included
    after: UUID | None = None  # the last of a page before


@transaction.atomic
def replay_delivery(*, delivery: WebhookDelivery, actor: Actor, now: datetime) -> WebhookDelivery:
    """Have a push mapped again; of one that is parked in part, that part."""
    own = WebhookDelivery.objects.for_tenant(delivery.tenant_id).select_for_update()
    locked: WebhookDelivery = own.get(pk=delivery.pk)
    if locked.verdict == Verdict.RECEIVED:
        return locked
    if locked.verdict not in REPLAYABLE:
        raise Conflict(f"a push that is {locked.verdict} cannot be mapped")
    if locked.forgotten_at is not None:
        raise Conflict("the payload of this push is not kept any more")
    _replay([locked])
    audit.record(
        tenant=locked.tenant_id,
        actor=actor,
        action="WEBHOOK_DELIVERY_REPLAYED",
        target=locked,
        now=now,
        changes={},
    )
    return locked


@transaction.atomic
def replay_deliveries(*, tenant: Tenant, chosen: Chosen, actor: Actor, now: datetime) -> list[UUID]:
    """Have all chosen pushes mapped again, the oldest first; which, at most `AT_ONCE`."""
    if not chosen.ids and chosen.source_id is None:
        raise Refused("say which: ids, or a sourceId")
    if chosen.verdict not in REPLAYABLE:
        raise Refused.naming("verdict", "INVALID", "pushes of that verdict cannot be mapped")
    found = list(_chosen(tenant, chosen).order_by("id").select_for_update(of=("self",))[:AT_ONCE])
    _replay(found)
    for source in WebhookSource.objects.for_tenant(tenant).filter(
        pk__in={one.source_id for one in found}
    ):
        count = sum(one.source_id == source.pk for one in found)
        audit.record(
            tenant=tenant,
            actor=actor,
            action="WEBHOOK_DELIVERIES_REPLAYED",
            target=source,
            now=now,
            changes={"deliveries": {"before": None, "after": count}},
        )
    return [one.pk for one in found]


def _chosen(tenant: Tenant, chosen: Chosen) -> TenantQuerySet:
    found = WebhookDelivery.objects.for_tenant(tenant).filter(
        verdict=chosen.verdict, forgotten_at=None
    )
    if chosen.ids:
        found = found.filter(pk__in=chosen.ids)
    if chosen.source_id is not None:
        found = found.filter(source_id=chosen.source_id)
    if chosen.after is not None:
        found = found.filter(pk__gt=chosen.after)
    if chosen.since is not None:
        found = found.filter(arrived_at__gte=chosen.since)
    if chosen.until is not None:
        found = found.filter(arrived_at__lt=chosen.until)
    return found.defer("payload")


def _replay(deliveries: list[WebhookDelivery]) -> None:
    for delivery in deliveries:
        delivery.verdict = Verdict.RECEIVED
        delivery.replays += 1
        delivery.tries, delivery.due_at, delivery.detail = 0, None, ""
        enqueue(MAPPING, delivery_id=str(delivery.pk))
    WebhookDelivery.objects.bulk_update(  # any tenant: just read
        deliveries, ["verdict", "replays", "tries", "due_at", "detail"]
    )
