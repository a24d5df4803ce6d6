"""What a subscription is sold with: versions on sale, a currency that they have, a trial."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TypedDict
from zoneinfo import ZoneInfo

from django.db.models import Q

from aforo.errors import Conflict, Refused
from aforo.periods import Cycle, start_of_day
from catalog.models import (
    Offering,
    OfferingPlan,
    Product,
    RatePlanVersion,
    Subscription,
    VersionCurrency,
)
from catalog.selectors.current import latest_published
from catalog.services import changes

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LAST_DAY, LAST_WEEKDAY, LAST_MONTH = 31, 7, 12
MOST_COUNTED = 366  # days or months of one period
MOST_TRIAL = timedelta(days=3660)
CALENDAR = "CALENDAR"
ANNIVERSARY = "ANNIVERSARY"
_ON_SALE = frozenset({Product.Lifecycle.BETA, Product.Lifecycle.GA})
_COUNTED = frozenset({Cycle.DAYS, Cycle.MONTHS})
_WITH_MONTH = frozenset({Cycle.QUARTERLY, Cycle.ANNUAL, Cycle.MONTHS})


def versions_on_sale(offering: Offering) -> Sequence[RatePlanVersion]:
    """The latest version of each plan of an active offering, in its order."""
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


def require_priced_in(versions: Collection[RatePlanVersion], currency: str) -> None:
    """Refuse a currency that one of the versions has no prices in."""
    others = {version.pk for version in versions if version.rate_plan.currency != currency}
    priced = VersionCurrency.objects.filter(  # any tenant: of versions at hand
        version__in=others, currency=currency
    ).values_list("version_id", flat=True)
    missing = others - set(priced)
    for version in versions:
        if version.pk in missing:
            plan = version.rate_plan
            reason = f"plan '{plan}' is priced in {plan.currency} and has no prices in {currency}"
            raise changes.refused("currency", "MISMATCH", reason)


def require_no_twin(subscription: Subscription, offering: Offering) -> None:
    """One customer has an offering once at a time: two would share its events."""
    same = (
        Subscription.objects.for_tenant(subscription.tenant_id)
        .filter(
            Q(end_at=None) | Q(end_at__gt=subscription.start_at),
            Q(offering=offering) | Q(next_offering=offering),
            customer=subscription.customer,
        )
        .exclude(pk=subscription.pk)
    )
    if subscription.end_at is not None:
        same = same.filter(start_at__lt=subscription.end_at)
    if same.exists():
        raise Conflict(
            f"customer '{subscription.customer}' has offering '{offering}' at that time already"
        )


class Terms(TypedDict, total=False):
    """How a subscription is billed, where its offering and its start do not say it."""

    currency: str
    billing_cycle: str
    cycle_count: int
    billing_anchor: str
    anchor_day: int | None
    anchor_month: int | None
    start_trial: bool | None
    trial_ends_at: datetime | None
    auto_convert: bool
    invoice_threshold: Decimal | None


def agree(subscription: Subscription, terms: Terms) -> None:
    """Set the terms of a new subscription; Refused for what no calendar has."""
    subscription.currency = terms.get("currency") or subscription.offering.currency
    subscription.billing_cycle = terms.get("billing_cycle", Cycle.MONTHLY)
    subscription.cycle_count = terms.get("cycle_count", 1)
    subscription.auto_convert = terms.get("auto_convert", True)
    subscription.invoice_threshold = terms.get("invoice_threshold")
    ends_at = terms.get("trial_ends_at")
    subscription.trial_end_at = trial_end(
        subscription.offering,
        subscription.start_at,
        subscription.time_zone,
        wanted=terms.get("start_trial"),
        ends_at=moment(ends_at, ZoneInfo(subscription.time_zone)) if ends_at else None,
    )
    place_anchor(
        subscription,
        kind=terms.get("billing_anchor", ANNIVERSARY),
        day=terms.get("anchor_day"),
        month=terms.get("anchor_month"),
    )
    require_sound(subscription)


def place_anchor(
    subscription: Subscription, *, kind: str, day: int | None, month: int | None
) -> None:
    """Say where the periods of a new subscription turn, by what was asked and by its start.

    CALENDAR: Mondays, the first of months, January. ANNIVERSARY: the local day at which it is
    first paid for. A day or month that is asked for goes before both.
    """
    cycle = Cycle(subscription.billing_cycle)
    first = subscription.paid_from.astimezone(ZoneInfo(subscription.time_zone)).date()
    if kind == CALENDAR and cycle == Cycle.DAYS:
        raise changes.refused("billingAnchor", "INVALID", "no calendar knows periods of days")
    by_calendar = kind == CALENDAR
    own_day = first.isoweekday() if cycle == Cycle.WEEKLY else first.day
    subscription.anchor_day = (1 if by_calendar else own_day) if day is None else day
    own_month = 1 if by_calendar and cycle != Cycle.MONTHS else first.month
    if cycle in _WITH_MONTH:
        subscription.anchor_month = own_month if month is None else month
    elif month is not None:
        reason = f"periods of cycle {cycle} turn in no particular month"
        raise changes.refused("billingAnchorMonth", "INVALID", reason)


def trial_end(
    offering: Offering,
    start: datetime,
    zone: str,
    *,
    wanted: bool | None,
    ends_at: datetime | None,
) -> datetime | None:
    """When a trial that begins at `start` ends; None without one.

    `wanted` None leaves it to the offering. Days of a trial end with a local day.
    """
    if wanted is False or not (wanted or ends_at or offering.trial_days):
        return None
    if ends_at is None and not offering.trial_days:
        reason = f"offering '{offering}' has no trial: say trialEndsAt"
        raise changes.refused("startTrial", "REQUIRED", reason)
    end = ends_at or _end_of_days(start, offering.trial_days, zone)
    if not start < end <= start + MOST_TRIAL:
        raise changes.refused("trialEndsAt", "INVALID", "must come after the start, within years")
    return end


def require_in_reach(when: datetime | date, bound: str) -> None:
    """Refuse what no calendar reaches; `bound` is "start" or "end", as its field begins, or all."""
    if not EARLIEST.year <= when.year <= LATEST.year:
        field = bound
        if bound in {"start", "end"}:
            field = f"{bound}At" if isinstance(when, datetime) else f"{bound}Date"
        reason = f"is from {EARLIEST.year} to {LATEST.year}"
        raise changes.refused(field, "INVALID", reason)


def moment(when: datetime | date, zone: ZoneInfo) -> datetime:
    """A date as the moment it begins in `zone`; a datetime without zone is UTC."""
    if not isinstance(when, datetime):
        return datetime.combine(when, time(), zone).astimezone(UTC)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def require_sound(subscription: Subscription) -> None:
    """Refuse times, cycles and anchors that no calendar has, by the field at fault."""
    if not EARLIEST <= subscription.start_at < LATEST:
        years = f"from {EARLIEST.year} to {LATEST.year}"
        raise changes.refused("startDate", "INVALID", f"a subscription starts {years}")
    if subscription.end_at is not None and subscription.end_at <= subscription.start_at:
        raise changes.refused("endDate", "INVALID", "must come after the start")
    for field, value, last in _bounded(subscription):
        if not 1 <= value <= last:
            raise changes.refused(field, "INVALID", f"is from 1 to {last}")
    if subscription.cycle_count != 1 and subscription.billing_cycle not in _COUNTED:
        raise changes.refused("cycleCount", "INVALID", "counts days or months")
    threshold = subscription.invoice_threshold
    if threshold is not None and threshold <= Decimal(0):
        raise changes.refused("invoiceThreshold", "INVALID", "is above zero")


def _bounded(subscription: Subscription) -> list[tuple[str, int, int]]:
    """What has bounds: its name on the wire, its value, the last one that can be."""
    is_weekly = subscription.billing_cycle == Cycle.WEEKLY
    days: Mapping[bool, int] = {True: LAST_WEEKDAY, False: LAST_DAY}
    return [
        ("billingAnchorDay", subscription.anchor_day, days[is_weekly]),
        ("billingAnchorMonth", subscription.anchor_month or 1, LAST_MONTH),
        ("cycleCount", subscription.cycle_count, MOST_COUNTED),
    ]


def _end_of_days(start: datetime, days: int, zone: str) -> datetime:
    """The end of so many whole local days: a trial that begins at noon has a half day more."""
    first = start.astimezone(ZoneInfo(zone)).date()
    if start_of_day(first, zone) < start:
        first += timedelta(days=1)
    return start_of_day(first + timedelta(days=days), zone)
