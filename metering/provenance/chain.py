"""Where one usage event came from, and all that was decided about it on its way.

Read in a constant number of statements. What is not there any more (a pruned receipt, a dropped
body) is None: the rest of the chain still stands.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import lz4.frame
from django.db.models import Q

from aforo.errors import AforoError
from aforo.tenancy.models import ApiKey, Tenant
from catalog.models import (
    BillableUnit,
    Customer,
    RatePlanVersion,
    Subscription,
    SubscriptionPeriod,
)
from catalog.selectors.prices import PeriodPrice, prices_of_totals
from metering import proof
from metering.ingest.arrivals import hash_of
from metering.ingest.events import split
from metering.models import (
    Correction,
    EventKey,
    HeldEvent,
    RawPayload,
    Receipt,
    RunningTotal,
    UsageEvent,
)
from metering.selectors.events import CountedEvent, digest_before

CLOCKS_APART = timedelta(days=1)  # a body is filed by our clock, its receipt says when that was


@dataclass(frozen=True, slots=True)
class Proven:
    """The event's hash under the key of its total, computed anew from what is stored.

    `verified`: hashed and chained to the digest before it, it gives the digest stored beside it.
    """

    event_hash: bytes
    digest_before: bytes
    digest: bytes
    verified: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """One event and the rows its chain is made of."""

    event: UsageEvent
    receipt: Receipt | None
    api_key: ApiKey | None
    holds_key: bool
    raw: bytes | None
    customer: Customer | None
    subscription: Subscription | None
    version: RatePlanVersion | None
    unit: BillableUnit | None
    price: PeriodPrice | None
    total: RunningTotal | None
    period: SubscriptionPeriod | None
    proven: Proven | None
    held: HeldEvent | None
    siblings: tuple[UsageEvent, ...]
    corrections: tuple[Correction, ...]


def usage_event(*, tenant: Tenant, event_id: int) -> UsageEvent | None:
    """One event of the tenant; ids rise as rows are written, which leads to its page."""
    own = UsageEvent.objects.filter(tenant_id=tenant.pk)  # any tenant: scoped by its bare id
    return own.filter(pk=event_id).first()


def provenance_of(event: UsageEvent, *, tenant: Tenant) -> Provenance:
    """The whole chain of one event of this tenant."""
    receipt = _receipt(event)
    total = _total(event)
    periods = SubscriptionPeriod.objects.for_tenant(tenant)
    keys = ApiKey.objects.for_tenant(tenant)
    subscriptions = Subscription.objects.for_tenant(tenant).select_related("offering", "customer")
    versions = RatePlanVersion.objects.for_tenant(tenant).select_related("rate_plan")
    return Provenance(
        event=event,
        receipt=receipt,
        api_key=keys.filter(pk=receipt.api_key_id).first() if receipt else None,
        holds_key=_holds_key(event),
        raw=_raw(event, receipt),
        customer=Customer.objects.for_tenant(tenant).filter(pk=event.customer_id).first(),
        subscription=subscriptions.filter(pk=event.subscription_id).first(),
        version=versions.filter(pk=event.plan_version_id).first(),
        unit=BillableUnit.objects.for_tenant(tenant).filter(pk=event.unit_id).first(),
        price=_price(total),
        total=total,
        period=periods.filter(pk=total.period_id).first() if total else None,
        proven=_proven(event, bytes(tenant.hash_secret)),
        held=_held(event),
        siblings=_siblings(event),
        corrections=_corrections(event, tenant),
    )


def _receipt(event: UsageEvent) -> Receipt | None:
    own = Receipt.objects.filter(tenant_id=event.tenant_id)  # any tenant: scoped by its bare id
    return own.filter(pk=event.batch_id).first()


def _total(event: UsageEvent) -> RunningTotal | None:
    if event.running_total_id is None:
        return None
    own = RunningTotal.objects.filter(tenant_id=event.tenant_id)  # any tenant: likewise
    return own.filter(pk=event.running_total_id).first()


def _price(total: RunningTotal | None) -> PeriodPrice | None:
    if total is None:
        return None
    key = (total.period_id, total.plan_version_id, total.unit_id)
    return prices_of_totals(total.tenant_id, [key])[key]


def _holds_key(event: UsageEvent) -> bool:
    """Whether the ledger holds the event's key, so that no other can count under it."""
    k = UUID(hash_of(event.tenant_id, event.idempotency_key))
    return EventKey.objects.filter(pk=k).exists()  # any tenant: the hash is of one


def _raw(event: UsageEvent, receipt: Receipt | None) -> bytes | None:
    """The event's own JSON, as its body was stored."""
    bodies = RawPayload.objects.filter(  # any tenant: scoped by its bare id
        tenant_id=event.tenant_id, batch_id=event.batch_id
    )
    if receipt is not None:  # then one month holds it
        moment = receipt.arrived_at
        bodies = bodies.filter(
            arrived_at__gte=moment - CLOCKS_APART, arrived_at__lte=moment + CLOCKS_APART
        )
    body = bodies.values_list("body", flat=True).first()
    return None if body is None else element_of(bytes(body), event.batch_index)


def element_of(body: bytes, index: int) -> bytes | None:
    """One event's JSON out of a stored body; None where the body has no such place."""
    try:
        return bytes(split(lz4.frame.decompress(body))[index])
    except (AforoError, IndexError, RuntimeError):
        return None


def _proven(event: UsageEvent, secret: bytes) -> Proven | None:
    """None for an event that is in no chain."""
    if event.running_total_id is None or event.position is None:
        return None
    counted = CountedEvent._make(getattr(event, name) for name in CountedEvent._fields)
    key = proof.total_key(secret, event.running_total_id)
    hashed = proof.event_hash(key, counted.canonical())
    before = digest_before(event.running_total_id, event.position)
    digest = bytes(event.digest or b"")
    return Proven(hashed, before, digest, proof.chain(before, hashed) == digest)


def _held(event: UsageEvent) -> HeldEvent | None:
    """The decision that counted the event, if it came too late to be counted by itself."""
    held = HeldEvent.objects.for_tenant(event.tenant_id).filter(
        batch_id=event.batch_id, batch_index=event.batch_index
    )
    return held.filter(running_total_id=event.running_total_id).first()


def _siblings(event: UsageEvent) -> tuple[UsageEvent, ...]:
    """The same event as other units count it: it happened at the same time."""
    rows = UsageEvent.objects.filter(  # any tenant: its own, by bare id
        tenant_id=event.tenant_id,
        occurred_at=event.occurred_at,
        batch_id=event.batch_id,
        batch_index=event.batch_index,
    ).exclude(pk=event.pk)
    return tuple(rows)


def _corrections(event: UsageEvent, tenant: Tenant) -> tuple[Correction, ...]:
    """What took the event back, or what it takes back itself."""
    rows = Correction.objects.for_tenant(tenant)
    named = Q(event_id=event.pk)
    if event.running_total_id is not None:
        named |= Q(running_total_id=event.running_total_id, void_position=event.position)
    return tuple(rows.filter(named).order_by("created_at"))
