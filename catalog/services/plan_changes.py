"""Changes of plan: another offering, or another version, for the same subscription.

A change takes effect now or when the running period ends, never earlier. Periods that begin from
then on are priced by what it brings; what has begun before keeps its prices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.db.models import Q

from aforo.errors import Conflict
from aforo.money import Money, divide, exact
from aforo.periods import days_between
from aforo.tenancy.services.actors import Actor
from catalog.models import (
    Customer,
    Offering,
    RatePlanVersion,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
    VersionCurrency,
)
from catalog.services import changes, lifecycle, periods, sales
from catalog.services.subscriptions import NOW, require_running

_ADVANCE = RatePlanVersion.BaseFeeTiming.ADVANCE
_DAY = RatePlanVersion.Proration.DAY


@dataclass(frozen=True, slots=True)
class PlanChange:
    """What has been changed, from when, and what of fees paid in advance is given back for it."""

    subscription: Subscription
    effective_at: datetime
    unused_fees: Money


@transaction.atomic
def change_offering(
    *,
    subscription: Subscription,
    offering: Offering,
    actor: Actor,
    now: datetime,
    when: str = NOW,
    prorate: bool = True,
    reason: str = "",
    fact: str = "subscription.migrated",
) -> PlanChange:
    """Put a subscription on the latest versions of another offering's plans.

    It keeps its id, customer, currency, anchor and what is left of a trial. `fact` is told, such as
    `subscription.upgraded`. Raises Conflict when it is over or paused, has that offering already,
    or when its next period is so near that it may have been used.
    """
    changes.require_own(subscription.tenant_id, offering)
    _lock_customer(subscription)
    locked = lifecycle.locked(subscription)
    require_running(locked)
    if offering.pk == locked.offering_id and locked.next_offering_id is None:
        raise Conflict(f"the subscription has offering '{offering}' already")
    versions = sales.versions_on_sale(offering)
    sales.require_priced_in(versions, locked.currency)
    sales.require_no_twin(locked, offering)
    running = periods.running_period(locked, now)
    effective_at = _effective_at(locked, running, when=when, now=now)
    unused = _unused_fees(locked, running if prorate else None, effective_at)
    is_at_once = effective_at <= now + periods.FORETOLD or running is None
    with changes.recorded(
        locked,
        partial(_shown, locked),
        action="SUBSCRIPTION_OFFERING_CHANGED",
        actor=actor,
        now=now,
        reason=reason,
    ):
        if is_at_once:
            locked.offering, locked.next_offering, locked.next_offering_at = offering, None, None
        else:
            locked.next_offering, locked.next_offering_at = offering, effective_at
        locked.save(update_fields=["offering", "next_offering", "next_offering_at"])
        _pin(locked, versions, running, at=effective_at, prorate=prorate)
        if is_at_once:
            phase = lifecycle.phase_of(locked, actor=actor, at=now, reason=reason)
            phase.save(force_insert=True)
        lifecycle.tell(fact, locked, now=now)
    return PlanChange(locked, effective_at, unused)


@transaction.atomic
def move_to_version(
    *,
    subscription: Subscription,
    version: RatePlanVersion,
    actor: Actor,
    now: datetime,
    when: str = NOW,
    prorate: bool = True,
    reason: str = "",
) -> PlanChange:
    """Move a subscription to another published version of a plan that it has: on the record.

    Nothing else ever does: a new version leaves what is pinned alone.
    """
    changes.require_own(subscription.tenant_id, version)
    locked = lifecycle.locked(subscription)
    require_running(locked)
    if not version.is_published:
        raise changes.refused("versionId", "NOT_PUBLISHED", f"{version} is a draft")
    sales.require_priced_in([version], locked.currency)
    running = periods.running_period(locked, now)
    effective_at = _effective_at(locked, running, when=when, now=now)
    versions = _replaced(locked, version, at=effective_at)
    unused = _unused_fees(locked, running if prorate else None, effective_at)
    with changes.recorded(
        locked,
        partial(_shown, locked),
        action="SUBSCRIPTION_MOVED_TO_VERSION",
        actor=actor,
        now=now,
        reason=reason,
    ):
        _pin(locked, versions, running, at=effective_at, prorate=prorate)
        lifecycle.tell("subscription.moved_to_version", locked, now=now)
    return PlanChange(locked, effective_at, unused)


def plans_at(subscription: Subscription, moment: datetime) -> list[SubscriptionPlan]:
    """What periods of a subscription that begin at `moment` are priced by, in order."""
    rows = SubscriptionPlan.objects.for_tenant(subscription.tenant_id).filter(
        Q(start_at=None) | Q(start_at__lte=moment),
        Q(end_at=None) | Q(end_at__gt=moment),
        subscription=subscription,
    )
    return list(rows.select_related("version__rate_plan").order_by("position", "id"))


def _lock_customer(subscription: Subscription) -> None:
    """Before the subscription, as who subscribes does: of two who come to one offering, one may."""
    customers = Customer.objects.for_tenant(subscription.tenant_id).select_for_update(no_key=True)
    customers.get(pk=subscription.customer_id)


def _effective_at(
    subscription: Subscription, running: SubscriptionPeriod | None, *, when: str, now: datetime
) -> datetime:
    if running is None:
        if subscription.start_at <= now:
            raise Conflict("no period of the subscription runs", code="NOT_RUNNING")
        return subscription.start_at
    periods.require_no_turn_soon(running, now)
    return periods.cut_at(running, now) if when == NOW else running.end_at


def _pin(
    subscription: Subscription,
    versions: Sequence[RatePlanVersion],
    running: SubscriptionPeriod | None,
    *,
    at: datetime,
    prorate: bool,
) -> None:
    """Let `versions` price the periods that begin from `at` on; cut the one that runs then."""
    rows = SubscriptionPlan.objects.for_tenant(subscription.tenant_id).filter(
        subscription=subscription
    )
    if running is None:
        rows.delete()
    else:
        rows.filter(start_at__gte=at).delete()
        rows.filter(Q(end_at=None) | Q(end_at__gt=at)).update(end_at=at)
    SubscriptionPlan.objects.bulk_create(
        SubscriptionPlan(
            tenant_id=subscription.tenant_id,
            subscription=subscription,
            version=version,
            position=position,
            start_at=None if running is None else at,
        )
        for position, version in enumerate(versions)
    )
    if running is not None and at < running.end_at:
        periods.split_period(subscription=subscription, at=at, prorate=prorate)


def _replaced(
    subscription: Subscription, version: RatePlanVersion, *, at: datetime
) -> list[RatePlanVersion]:
    pinned = [plan.version for plan in plans_at(subscription, at)]
    if version in pinned:
        raise Conflict(f"the subscription has {version} already")
    if version.rate_plan_id not in {one.rate_plan_id for one in pinned}:
        reason = f"plan '{version.rate_plan}' is none of the subscription's"
        raise changes.refused("versionId", "FOREIGN", reason)
    return [version if one.rate_plan_id == version.rate_plan_id else one for one in pinned]


def _unused_fees(
    subscription: Subscription, running: SubscriptionPeriod | None, at: datetime
) -> Money:
    """What a cut leaves unused of the base fees that were paid in advance."""
    unused = Decimal(0)
    if running is not None and running.kind != SubscriptionPeriod.Kind.TRIAL:
        fees = _fees_in_advance(subscription, running)
        with exact():
            unused = sum((_share(fee, running, at, by) for fee, by in fees), unused)
    return Money(unused, subscription.currency).rounded()


def _fees_in_advance(
    subscription: Subscription, running: SubscriptionPeriod
) -> list[tuple[Decimal, str]]:
    versions = [plan.version for plan in plans_at(subscription, running.start_at)]
    in_advance = [one for one in versions if one.base_fee_timing == _ADVANCE]
    others = VersionCurrency.objects.filter(  # any tenant: of versions at hand
        version__in=in_advance, currency=subscription.currency
    )
    own = {row.version_id: row.base_fee for row in others}
    return [(own.get(one.pk, one.base_fee), one.proration) for one in in_advance]


def _share(fee: Decimal, running: SubscriptionPeriod, at: datetime, proration: str) -> Decimal:
    span, zone = running.span, running.subscription.time_zone
    if proration == _DAY:
        rest = Decimal(days_between(at, running.end_at, zone))
        return divide(fee * rest, Decimal(span.whole_days(zone)))
    rest = Decimal((running.end_at - at) // periods.INSTANT).scaleb(-6)
    return divide(fee * rest, span.whole_seconds)


def _shown(subscription: Subscription) -> dict[str, object]:
    plans = SubscriptionPlan.objects.for_tenant(subscription.tenant_id).filter(
        subscription=subscription, end_at=None
    )
    versions = plans.select_related("version__rate_plan").order_by("position", "id")
    return {
        "offering": str(subscription.offering),
        "next_offering": str(subscription.next_offering or ""),
        "versions": [str(plan.version) for plan in versions],
    }
