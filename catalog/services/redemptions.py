"""Redeeming coupons: who may, how often, for what; decided under the coupon's lock."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from aforo.errors import Conflict, NotFound, Refused
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from catalog.models import Coupon, CouponRedemption, Customer, Subscription
from catalog.months import months_after
from catalog.services import changes
from catalog.services.coupons import locked_coupon
from catalog.services.trial_extensions import extend_trial

_OVER = frozenset({Subscription.State.CANCELLED, Subscription.State.EXPIRED})


@transaction.atomic
def redeem_coupon(
    *,
    tenant: Tenant,
    code: str,
    customer: Customer,
    actor: Actor,
    now: datetime,
    subscription: Subscription | None = None,
) -> CouponRedemption:
    """Give `customer` the coupon `code`, for one subscription or for all they have.

    One of ONCE is for one subscription: the only one that runs, unless it is named. Conflict when
    it is redeemed already or given out; Refused when it is not valid now, or not for them. Days of
    trial are given at once, to a trial that runs.
    """
    changes.require_own(tenant, customer, *([subscription] if subscription else []))
    coupon = _called(tenant, code)
    if subscription is not None and subscription.customer_id != customer.pk:
        raise changes.refused("subscriptionId", "MISMATCH", "is another customer's")
    if subscription is None and coupon.duration == Coupon.Duration.ONCE:
        subscription = _only_running(customer)
    _require_valid(coupon, now)
    _require_meant(coupon, customer, subscription)
    _require_left(coupon, customer, subscription, now)
    redemption = CouponRedemption.objects.create(
        tenant=tenant,
        coupon=coupon,
        customer=customer,
        subscription=subscription,
        redeemed_at=now,
        ends_at=_end(coupon, tenant, subscription, now),
    )
    _note(redemption, "COUPON_REDEEMED", actor=actor, now=now)
    if subscription is not None and coupon.discount_type == Coupon.DiscountType.TRIAL_DAYS:
        days = int(coupon.discount_value)
        extend_trial(
            subscription=subscription, days=days, actor=actor, now=now, reason=f"coupon '{coupon}'"
        )
    return redemption


@transaction.atomic
def revoke_redemption(
    *, redemption: CouponRedemption, actor: Actor, now: datetime, reason: str = ""
) -> CouponRedemption:
    """Take a coupon back: invoices made from now on do without it. Again changes nothing.

    It counts no more towards the coupon's limits. Conflict for days of trial: they are given.
    """
    if redemption.coupon.discount_type == Coupon.DiscountType.TRIAL_DAYS:
        raise Conflict(f"the days of trial of coupon '{redemption.coupon}' are given already")
    locked_coupon(redemption.coupon)
    rows = CouponRedemption.objects.for_tenant(redemption.tenant_id)
    locked: CouponRedemption = (
        rows.select_related("coupon", "customer")
        .select_for_update(of=("self",))
        .get(pk=redemption.pk)
    )
    if locked.revoked_at is None:
        locked.revoked_at = now
        locked.save(update_fields=["revoked_at"])
        _note(locked, "COUPON_REVOKED", actor=actor, now=now, reason=reason)
    return locked


def _called(tenant: Tenant, code: str) -> Coupon:
    coupon = Coupon.objects.for_tenant(tenant).filter(code=code).first()
    if coupon is None:
        raise NotFound.naming("code", "NOT_FOUND", f"there is no coupon '{code}'")
    return locked_coupon(coupon)


def _only_running(customer: Customer) -> Subscription:
    rows = Subscription.objects.for_tenant(customer.tenant_id).filter(customer=customer)
    running: list[Subscription] = list(rows.exclude(state__in=_OVER)[:2])
    if len(running) != 1:
        count = "several subscriptions" if running else "no subscription"
        reason = f"the customer has {count}: name the one whose invoice it is for"
        raise changes.refused("subscriptionId", "REQUIRED", reason)
    return running[0]


def _require_valid(coupon: Coupon, now: datetime) -> None:
    if coupon.archived_at is not None:
        raise _not_now(coupon, "COUPON_ARCHIVED", "is given out no more")
    if coupon.valid_from is not None and now < coupon.valid_from:
        raise _not_now(coupon, "COUPON_NOT_YET_VALID", f"is valid from {coupon.valid_from:%F %R}")
    if coupon.valid_until is not None and now >= coupon.valid_until:
        raise _not_now(coupon, "COUPON_EXPIRED", f"was valid until {coupon.valid_until:%F %R}")


def _require_meant(coupon: Coupon, customer: Customer, subscription: Subscription | None) -> None:
    if coupon.customer_id not in {None, customer.pk}:
        raise _not_now(coupon, "COUPON_NOT_APPLICABLE", "is for another customer")
    if subscription is None:
        return
    if subscription.state in _OVER:
        reason = f"is {subscription.state} and gets no invoices any more"
        raise changes.refused("subscriptionId", "INVALID", reason)
    is_amount = coupon.discount_type == Coupon.DiscountType.FIXED_AMOUNT
    if is_amount and coupon.currency != subscription.currency:
        reason = f"takes off {coupon.currency}, the subscription is in {subscription.currency}"
        raise _not_now(coupon, "COUPON_NOT_APPLICABLE", reason)
    offerings = set(coupon.offerings.values_list("pk", flat=True))
    if offerings and subscription.offering_id not in offerings:
        raise _not_now(coupon, "COUPON_NOT_APPLICABLE", "is not for the subscription's offering")


def _require_left(
    coupon: Coupon, customer: Customer, subscription: Subscription | None, now: datetime
) -> None:
    """Not redeemed for the same already, and not as often as it may be; revoked ones are free."""
    redeemed = CouponRedemption.objects.for_tenant(coupon.tenant_id).filter(
        coupon=coupon, revoked_at=None
    )
    own = redeemed.filter(customer=customer)
    running = Q(ends_at=None) | Q(ends_at__gt=now)
    if own.filter(running, subscription=subscription).exists():
        raise Conflict(f"coupon '{coupon}' is redeemed already", code="COUPON_REDEEMED")
    if own.count() >= coupon.max_redemptions_per_customer:
        times = coupon.max_redemptions_per_customer
        reason = f"customer '{customer}' has redeemed coupon '{coupon}' {times} times already"
        raise Conflict(reason, code="COUPON_REDEEMED")
    if coupon.max_redemptions is not None and redeemed.count() >= coupon.max_redemptions:
        raise Conflict(f"coupon '{coupon}' is redeemed as often as it may be", code="COUPON_SPENT")


def _end(
    coupon: Coupon, tenant: Tenant, subscription: Subscription | None, now: datetime
) -> datetime | None:
    """The end of so many months, counted where the subscription is billed."""
    if coupon.duration_in_months is None:
        return None
    return months_after(now, coupon.duration_in_months, (subscription or tenant).time_zone)


def _note(
    redemption: CouponRedemption, action: str, *, actor: Actor, now: datetime, reason: str = ""
) -> None:
    """In the audit log alone: no price of the catalog changes."""
    said: Mapping[str, object] = {
        "coupon": redemption.coupon.code,
        "customer": redemption.customer.external_id,
        "subscription": str(redemption.subscription_id) if redemption.subscription_id else None,
    }
    audit.record(
        tenant=redemption.tenant_id,
        actor=actor,
        action=action,
        target=redemption,
        now=now,
        changes=audit.differences({}, said),
        reason=reason,
    )


def _not_now(coupon: Coupon, code: str, reason: str) -> Refused:
    return changes.refused("code", code, f"coupon '{coupon}' {reason}")
