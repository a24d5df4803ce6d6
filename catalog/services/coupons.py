"""Coupons: made once, changed in their limits only, archived when they are given out no more."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from aforo.money import ZERO
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Coupon, Customer, Offering
from catalog.services import changes

EDITABLE = frozenset(
    {"name", "max_redemptions", "max_redemptions_per_customer", "valid_from", "valid_until"}
)
_SHOWN = EDITABLE | {
    "code",
    "discount_type",
    "discount_value",
    "currency",
    "duration",
    "duration_in_months",
}
CODE = re.compile(r"[A-Z0-9_-]{1,64}")
_WHOLE = Decimal(100)
_LONGEST_REPETITION = 60
_LONGEST_TRIAL = 730


@dataclass(frozen=True, slots=True)
class CouponDraft:
    """A percentage (10 is 10 %), an amount of `currency`, or so many days of trial.

    To be redeemed during [valid_from, valid_until), so often; absent is without a limit.
    """

    code: str
    discount_type: str
    discount_value: Decimal
    name: str = ""
    currency: str = ""
    duration: str = Coupon.Duration.ONCE
    duration_in_months: int | None = None
    max_redemptions: int | None = None
    max_redemptions_per_customer: int = 1
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@transaction.atomic
def create_coupon(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    draft: CouponDraft,
    offerings: Collection[Offering] = (),
    customer: Customer | None = None,
) -> Coupon:
    """A new coupon, for `offerings` and for `customer`: for all, where they are absent."""
    coupon = Coupon(tenant=tenant, customer=customer, created_at=now, **asdict(draft))
    changes.require_own(tenant, *offerings, *([customer] if customer else []))
    _require_sound(coupon)
    taken = f"there is a coupon '{draft.code}' already"
    with changes.conflict_when("coupon_code_is_taken_once", taken, field="code"):
        coupon.save(force_insert=True)
    coupon.offerings.set(offerings)
    after = changes.state_of(coupon, _SHOWN) | {
        "offerings": sorted(offering.code for offering in offerings),
        "customer": customer.external_id if customer else None,
    }
    changes.record(coupon, action="COUPON_CREATED", actor=actor, now=now, after=after)
    return coupon


@transaction.atomic
def edit_coupon(
    *, coupon: Coupon, edits: Mapping[str, object], actor: Actor, now: datetime
) -> Coupon:
    """Change some of `EDITABLE`: what is redeemed stays, what it takes off never changes."""
    locked = locked_coupon(coupon)
    changes.edit(locked, edits, editable=EDITABLE, action="COUPON_UPDATED", actor=actor, now=now)
    _require_limits(locked)
    return locked


@transaction.atomic
def archive_coupon(*, coupon: Coupon, actor: Actor, now: datetime) -> Coupon:
    """Let nobody redeem it any more; what is redeemed goes on. Again changes nothing."""
    locked = locked_coupon(coupon)
    if locked.archived_at is None:
        locked.archived_at = now
        locked.save(update_fields=["archived_at"])
        after = {"archived_at": now}
        changes.record(locked, action="COUPON_ARCHIVED", actor=actor, now=now, after=after)
    return locked


def locked_coupon(coupon: Coupon) -> Coupon:
    """The row under its lock: of those who redeem the last one, the second sees the first."""
    rows = Coupon.objects.for_tenant(coupon.tenant_id).select_for_update(no_key=True)
    locked: Coupon = rows.get(pk=coupon.pk)
    return locked


def _require_sound(coupon: Coupon) -> None:
    if not CODE.fullmatch(coupon.code):
        reason = "has 1 to 64 of the characters A-Z, 0-9, _ and -, in upper case only"
        raise changes.refused("code", "INVALID", reason)
    changes.require_valid(coupon)
    _require_value(coupon)
    _require_duration(coupon)
    _require_limits(coupon)


def _require_value(coupon: Coupon) -> None:
    value, types = coupon.discount_value, Coupon.DiscountType
    if value <= ZERO:
        raise changes.refused("discountValue", "INVALID", "must be above 0")
    if coupon.discount_type == types.PERCENTAGE and value > _WHOLE:
        raise changes.refused("discountValue", "INVALID", "must be at most 100")
    if coupon.discount_type == types.TRIAL_DAYS and (value % 1 or value > _LONGEST_TRIAL):
        reason = f"must be whole days, at most {_LONGEST_TRIAL}"
        raise changes.refused("discountValue", "INVALID", reason)
    if coupon.discount_type == types.FIXED_AMOUNT:
        if not coupon.currency:
            raise changes.refused("currency", "REQUIRED", "an amount is of one currency")
        changes.require_currency(coupon.currency)
    elif coupon.currency:
        raise changes.refused("currency", "INVALID", "only an amount has one")


def _require_duration(coupon: Coupon) -> None:
    months, field = coupon.duration_in_months, "durationInMonths"
    if coupon.duration != Coupon.Duration.REPEATING:
        if months is not None:
            raise changes.refused(field, "INVALID", "only a REPEATING coupon lasts so many months")
    elif months is None or not 1 <= months <= _LONGEST_REPETITION:
        reason = f"a REPEATING coupon lasts 1 to {_LONGEST_REPETITION} months"
        raise changes.refused(field, "REQUIRED" if months is None else "INVALID", reason)
    if (
        coupon.discount_type == Coupon.DiscountType.TRIAL_DAYS
        and coupon.duration != Coupon.Duration.ONCE
    ):
        raise changes.refused("duration", "INVALID", "days of trial are given ONCE")


def _require_limits(coupon: Coupon) -> None:
    for field in ("max_redemptions", "max_redemptions_per_customer"):
        limit = getattr(coupon, field)
        if limit is not None and limit < 1:
            raise changes.refused(on_the_wire(field), "INVALID", "must be at least 1")
    if coupon.valid_from and coupon.valid_until and coupon.valid_until <= coupon.valid_from:
        raise changes.refused("validUntil", "INVALID", "must come after validFrom")
