"""Subscriptions: a customer takes an offering, at the prices of that day, until it ends.

What begins or ends here takes effect no earlier than now for events that were counted already:
they keep their price (or stay unbilled), whatever the new dates say.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q

from aforo.errors import Conflict, Refused
from aforo.outbox.services import publish
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import (
    BillingEntity,
    Customer,
    Offering,
    OfferingPlan,
    Product,
    RatePlanVersion,
    Subscription,
    SubscriptionPlan,
)
from catalog.selectors.current import latest_published
from catalog.services import changes, periods
from catalog.services.billing_entities import create_default_entity

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LAST_DAY = 31
_SHOWN = (
    "state",
    "currency",
    "start_at",
    "end_at",
    "anchor_day",
    "time_zone",
)
_ON_SALE = frozenset({Product.Lifecycle.BETA, Product.Lifecycle.GA})
_INSTANT = timedelta(microseconds=1)  # the shortest time a row can tell


@transaction.atomic
def create_subscription(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    customer: Customer,
    offering: Offering,
    start: datetime | date | None = None,
    end: datetime | date | None = None,
    anchor_day: int | None = None,
    billing_entity: BillingEntity | None = None,
) -> Subscription:
    """Subscribe `customer` to an active `offering`, pinned to the latest version of each plan.

    A date begins at 00:00 where the billing entity is; absent, the start is now. Periods turn on
    `anchor_day` (31: the last day), by default the day of the start. They are stored from the
    start until `periods.AHEAD` from now.
    """
    changes.require_own(tenant, customer, offering, *([billing_entity] if billing_entity else []))
    locked = _locked_customer(customer)
    entity = billing_entity or create_default_entity(tenant=tenant, actor=actor, now=now)
    versions = _versions_on_sale(offering)
    zone = ZoneInfo(entity.time_zone)
    subscription = Subscription(
        tenant=tenant,
        customer=locked,
        offering=offering,
        billing_entity=entity,
        currency=offering.currency,
        start_at=_moment(start or now, zone),
        end_at=_moment(end, zone) if end else None,
        time_zone=entity.time_zone,
        created_at=now,
    )
    own_day = subscription.start_at.astimezone(zone).day
    subscription.anchor_day = own_day if anchor_day is None else anchor_day
    _require_sound(subscription)
    _require_no_twin(subscription)
    subscription.save(force_insert=True)
    _pin(subscription, versions)
    periods.extend_periods(subscription=subscription, until=now + periods.AHEAD)
    after = changes.state_of(subscription, _SHOWN) | {
        "customer": locked.external_id,
        "offering": offering.code,
        "versions": [str(version) for version in versions],
    }
    changes.record(subscription, action="SUBSCRIPTION_CREATED", actor=actor, now=now, after=after)
    _tell("subscription.activated", subscription, now=now)
    return subscription


@transaction.atomic
def cancel_subscription(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    at: datetime | None = None,
    reason: str = "",
) -> Subscription:
    """End `subscription` at `at` (by default now, never before): once, and for good.

    Its last period is cut there and prorated; periods that would have followed are taken back.
    """
    locked = _locked(subscription)
    if locked.state == Subscription.State.CANCELLED:
        return locked
    if at is not None and at < now:
        raise changes.refused("cancelAt", "IN_THE_PAST", "what was counted already stays counted")
    before = changes.state_of(locked, ("state", "end_at"))
    end = min(at or now, locked.end_at or LATEST)
    # Cancelled before it began: the row must end after its start, but no period is left.
    has_begun = end > locked.start_at
    locked.end_at = end if has_begun else locked.start_at + _INSTANT
    periods.extend_periods(subscription=locked, until=end)
    periods.cut_periods(subscription=locked, end=end)
    locked.state = Subscription.State.CANCELLED
    locked.save(update_fields=["state", "end_at"])
    changes.record(
        locked,
        action="SUBSCRIPTION_CANCELLED",
        actor=actor,
        now=now,
        before=before,
        after=changes.state_of(locked, ("state", "end_at")),
        reason=reason,
    )
    _tell("subscription.cancelled", locked, now=now)
    return locked


def _locked(subscription: Subscription) -> Subscription:
    rows = Subscription.objects.for_tenant(subscription.tenant_id)
    rows = rows.select_related("customer", "offering")
    rows = rows.select_for_update(of=("self",), no_key=True)
    locked: Subscription = rows.get(pk=subscription.pk)
    return locked


def _locked_customer(customer: Customer) -> Customer:
    """The customer's own lock: of two who subscribe them at once, the second sees the first."""
    rows = Customer.objects.for_tenant(customer.tenant_id).select_for_update(no_key=True)
    locked: Customer = rows.get(pk=customer.pk)
    if locked.archived_at is not None:
        raise Refused(f"customer '{locked}' is archived")
    return locked


def _versions_on_sale(offering: Offering) -> Sequence[RatePlanVersion]:
    if offering.status != Offering.Status.ACTIVE:
        raise Refused(f"offering '{offering}' is {offering.status}: only an active one is sold")
    items = OfferingPlan.objects.for_tenant(offering.tenant_id).filter(offering=offering)
    versions = []
    for item in items.select_related("rate_plan").order_by("position"):
        version = latest_published(item.rate_plan)
        if version is None:
            raise Refused(f"plan '{item.rate_plan}' has no published version yet")
        versions.append(version)
    unsold = (
        Product.objects.for_tenant(offering.tenant_id)
        .filter(rate_plans__offerings=offering)
        .exclude(lifecycle__in=_ON_SALE)
    )
    for product in unsold:
        raise Refused(f"product '{product}' is {product.lifecycle} and takes no subscriptions")
    return versions


def _pin(subscription: Subscription, versions: Sequence[RatePlanVersion]) -> None:
    SubscriptionPlan.objects.bulk_create(
        SubscriptionPlan(
            tenant_id=subscription.tenant_id,
            subscription=subscription,
            version=version,
            position=position,
        )
        for position, version in enumerate(versions)
    )


def _moment(when: datetime | date, zone: ZoneInfo) -> datetime:
    """A date as the moment it begins in `zone`; a datetime without zone is UTC."""
    if not isinstance(when, datetime):
        return datetime.combine(when, time(), zone).astimezone(UTC)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _require_sound(subscription: Subscription) -> None:
    if not EARLIEST <= subscription.start_at < LATEST:
        years = f"from {EARLIEST.year} to {LATEST.year}"
        raise changes.refused("startDate", "INVALID", f"a subscription starts {years}")
    if subscription.end_at is not None and subscription.end_at <= subscription.start_at:
        raise changes.refused("endDate", "INVALID", "must come after the start")
    if not 1 <= subscription.anchor_day <= LAST_DAY:
        raise changes.refused("billingAnchorDay", "INVALID", f"is a day from 1 to {LAST_DAY}")


def _require_no_twin(subscription: Subscription) -> None:
    """One customer has an offering once at a time: two would share its events."""
    same = Subscription.objects.for_tenant(subscription.tenant_id).filter(
        Q(end_at=None) | Q(end_at__gt=subscription.start_at),
        customer=subscription.customer,
        offering=subscription.offering,
    )
    if subscription.end_at is not None:
        same = same.filter(start_at__lt=subscription.end_at)
    if same.exists():
        raise Conflict(
            f"customer '{subscription.customer}' has offering '{subscription.offering}' at that"
            " time already"
        )


def _tell(fact: str, subscription: Subscription, *, now: datetime) -> None:
    publish(
        tenant_id=subscription.tenant_id,
        fact=fact,
        subject=subscription.pk,
        payload={
            "subscriptionId": str(subscription.pk),
            "customerId": subscription.customer.external_id,
            "offeringId": str(subscription.offering_id),
            "state": subscription.state,
            "startAt": subscription.start_at.isoformat(),
            "endAt": subscription.end_at.isoformat() if subscription.end_at else None,
        },
        now=now,
    )
