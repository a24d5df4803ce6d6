"""Subscriptions: a customer takes an offering, at the prices of that day, until it ends.

What begins or ends here takes effect no earlier than now for events that were counted already:
they keep their price (or stay unbilled), whatever the new dates say.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Unpack
from zoneinfo import ZoneInfo

from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import (
    BillingEntity,
    Customer,
    Offering,
    RatePlanVersion,
    Subscription,
    SubscriptionPlan,
)
from catalog.services import changes, lifecycle, periods, sales, subscription_keys
from catalog.services.billing_entities import create_default_entity
from catalog.services.telling import require_told

NOW, PERIOD_END = "NOW", "PERIOD_END"
State = Subscription.State
_SHOWN = (
    "state",
    "currency",
    "billing_cycle",
    "cycle_count",
    "start_at",
    "end_at",
    "trial_end_at",
    "auto_convert",
    "anchor_day",
    "anchor_month",
    "invoice_threshold",
    "time_zone",
)
_ENDING = ("state", "end_at", "cancels_at_end")


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
    billing_entity: BillingEntity | None = None,
    **terms: Unpack[sales.Terms],
) -> Subscription:
    """Subscribe `customer` to an active `offering`, pinned to the latest version of each plan.

    A date begins at 00:00 where the billing entity is; absent, the start is now. Periods turn on
    the anchor, by default the day of the start or of the end of a trial. They are stored from the
    start until `periods.AHEAD` from now.
    """
    changes.require_own(tenant, customer, offering, *([billing_entity] if billing_entity else []))
    buyer = _locked_customer(customer)
    entity = billing_entity or create_default_entity(tenant=tenant, actor=actor, now=now)
    versions = sales.versions_on_sale(offering)
    zone = ZoneInfo(entity.time_zone)
    sales.require_in_reach(start or now, "start")
    sales.require_in_reach(end or now, "end")
    subscription = Subscription(
        tenant=tenant,
        customer=buyer,
        offering=offering,
        billing_entity=entity,
        start_at=sales.moment(start or now, zone),
        end_at=sales.moment(end, zone) if end else None,
        time_zone=entity.time_zone,
        created_at=now,
    )
    sales.agree(subscription, terms)
    sales.require_priced_in(versions, subscription.currency)
    sales.require_no_twin(subscription, offering)
    _begin(subscription, versions, actor=actor, now=now)
    return subscription


@transaction.atomic
def cancel_subscription(
    *,
    subscription: Subscription,
    actor: Actor,
    now: datetime,
    at: datetime | None = None,
    when: str = NOW,
    reason: str = "",
) -> Subscription:
    """End `subscription` now, at `at` (never before now) or with its running period: for good.

    Its last period is cut there and prorated; periods that would have followed are taken back, and
    its keys are revoked, at once or when the end comes. Again changes nothing.

    When this returns after its commit, no access check that begins later says yes; where they could
    not be told it raises Unavailable, and must be repeated.
    """
    locked = lifecycle.locked(subscription)
    if locked.state == State.CANCELLED:
        subscription_keys.revoke_all([locked.pk], actor=actor, now=now, reason=reason)
        require_told(locked)
        return locked
    if at is not None and at < now:
        raise changes.refused("cancelAt", "IN_THE_PAST", "what was counted already stays counted")
    lifecycle.is_change(locked.state, State.CANCELLED)
    before = changes.state_of(locked, _ENDING)
    end = min(at or _natural_end(locked, when, now), locked.end_at or sales.LATEST)
    _end(locked, end, now)
    is_over = end <= now
    if is_over:
        require_told(locked)
        lifecycle.enter(locked, State.CANCELLED, actor=actor, now=now, reason=reason)
        subscription_keys.revoke_all([locked.pk], actor=actor, now=now, reason=reason)
    else:
        lifecycle.tell("subscription.cancellation_scheduled", locked, now=now)
    changes.record(
        locked,
        action="SUBSCRIPTION_CANCELLED" if is_over else "SUBSCRIPTION_CANCELLATION_SCHEDULED",
        actor=actor,
        now=now,
        before=before,
        after=changes.state_of(locked, _ENDING),
        reason=reason,
    )
    return locked


def _begin(
    subscription: Subscription, versions: Sequence[RatePlanVersion], *, actor: Actor, now: datetime
) -> None:
    """Store it with its plans, its periods and the phases it has come through by now."""
    subscription.state = State.CREATED
    subscription.save(force_insert=True)
    SubscriptionPlan.objects.bulk_create(
        SubscriptionPlan(
            tenant_id=subscription.tenant_id,
            subscription=subscription,
            version=version,
            position=position,
        )
        for position, version in enumerate(versions)
    )
    lifecycle.phase_of(subscription, actor=actor, at=now).save(force_insert=True)
    lifecycle.tell("subscription.created", subscription, now=now)
    if subscription.start_at <= now:
        in_trial = subscription.trial_end_at is not None and now < subscription.trial_end_at
        first = State.TRIALING if in_trial else State.ACTIVE
        lifecycle.enter(subscription, first, actor=actor, now=now)
    periods.extend_periods(subscription=subscription, until=now + periods.AHEAD)
    after = changes.state_of(subscription, _SHOWN) | {
        "customer": subscription.customer.external_id,
        "offering": subscription.offering.code,
        "versions": [str(version) for version in versions],
    }
    changes.record(subscription, action="SUBSCRIPTION_CREATED", actor=actor, now=now, after=after)


def _natural_end(subscription: Subscription, when: str, now: datetime) -> datetime:
    running = periods.running_period(subscription, now) if when == PERIOD_END else None
    return running.end_at if running else now


def _end(subscription: Subscription, end: datetime, now: datetime) -> None:
    """Set the end of a locked subscription and fit its periods to it."""
    # Cancelled before it began: the row must end after its start, but no period is left.
    has_begun = end > subscription.start_at
    subscription.end_at = end if has_begun else subscription.start_at + periods.INSTANT
    subscription.cancels_at_end = True
    periods.extend_periods(subscription=subscription, until=end)
    periods.cut_periods(subscription=subscription, end=end, now=now)
    subscription.save(update_fields=["end_at", "cancels_at_end"])


def _locked_customer(customer: Customer) -> Customer:
    """The customer's own lock: of two who subscribe them at once, the second sees the first."""
    rows = Customer.objects.for_tenant(customer.tenant_id).select_for_update(no_key=True)
    locked: Customer = rows.get(pk=customer.pk)
    if locked.archived_at is not None:
        raise Refused(f"customer '{locked}' is archived")
    return locked


def require_running(subscription: Subscription) -> None:
    """Conflict when a subscription is over or paused: there is nothing of it to change."""
    if subscription.state not in Subscription.RUNNING:
        raise Conflict(
            f"a subscription that is {subscription.state} cannot change", code="NOT_RUNNING"
        )
