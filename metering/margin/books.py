"""What billing periods bring in whatever their usage: fees, flat charges and promised minimums.

They change with the catalog alone, so a process remembers them for as long as `catalog_version`
stands.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from aforo.money import EXACT, ZERO, divide
from aforo.tenancy.models import Tenant
from catalog.models import RatePlanVersion, SubscriptionPeriod, VersionCurrency
from catalog.pricing import InvalidTerms, Terms, Usage
from catalog.selectors.agreements import Agreement, agreements_of
from catalog.selectors.prices import PeriodPrice, pinned_versions, prices_of_periods

NOTHING = Usage(ZERO)
MOST_TENANTS = 50  # remembered at once by one process
_EARLIER = """
    SELECT p.id
    FROM unnest(%(customers)s::uuid[], %(since)s::timestamptz[]) AS w (customer_id, since)
    JOIN subscriptions s ON s.tenant_id = %(tenant)s AND s.customer_id = w.customer_id
    JOIN subscription_periods p
      ON p.tenant_id = %(tenant)s AND p.subscription_id = s.id
     AND p.end_at > %(first)s AND p.end_at <= %(now)s AND p.end_at > w.since
    ORDER BY p.start_at, p.id
"""


@dataclass(frozen=True, slots=True)
class UnitBook:
    """A priced unit: what it asks for without usage, and by which terms where that differs."""

    unit_id: UUID
    once: Decimal
    terms: Terms | None = None

    def flat(self, dimensions: Sequence[str]) -> Decimal:
        """What is due whatever the usage, of each dimension value that has any."""
        if not self.once or not dimensions or self.terms is None:
            return self.once
        due = ZERO
        for dimension in dimensions:
            due = EXACT.add(due, self.terms.of_dimension(dimension).charge(NOTHING))
        return due


@dataclass(frozen=True, slots=True)
class PlanBook:
    """One plan in one period; money is scaled to what the period is of a full one."""

    version_id: UUID
    plan_id: UUID
    base_fee: Decimal
    minimum: Decimal
    units: tuple[UnitBook, ...]


@dataclass(frozen=True, slots=True)
class PeriodBook:
    """One period [start, end). `minimum` is the contract's, over all plans; zero: none.

    `subscribed_at` is in the subscription's time zone, which says in what month it began.
    """

    period_id: UUID
    subscription_id: UUID
    customer_id: UUID
    currency: str
    start: datetime
    end: datetime
    subscribed_at: datetime
    plans: tuple[PlanBook, ...]
    minimum: Decimal = ZERO


class _Memory:
    """Books of periods by tenant, each under one version of its catalog."""

    def __init__(self) -> None:
        self._books: dict[UUID, tuple[int, dict[UUID, PeriodBook]]] = {}

    def of(self, tenant: Tenant) -> dict[UUID, PeriodBook]:
        version, books = self._books.get(tenant.pk, (0, {}))
        if version != tenant.catalog_version:
            if len(self._books) >= MOST_TENANTS:
                self._books.clear()
            books = {}
            self._books[tenant.pk] = (tenant.catalog_version, books)
        return books


_memory = _Memory()


def current_books(
    tenant: Tenant, *, now: datetime, customer_ids: Collection[UUID] | None = None
) -> list[PeriodBook]:
    """The books of all periods that `now` falls into, those of some customers, or of all."""
    rows = SubscriptionPeriod.objects.for_tenant(tenant).filter(start_at__lte=now, end_at__gt=now)
    if customer_ids is not None:
        rows = rows.filter(subscription__customer_id__in=customer_ids)
    return books_of(tenant, rows.order_by("start_at", "id").values_list("pk", flat=True))


def earlier_books(
    tenant: Tenant, since: Mapping[UUID, datetime], *, now: datetime
) -> list[PeriodBook]:
    """The books of periods that ended between `since`, which is by customer, and `now`."""
    if not since:
        return []
    about: dict[str, Any] = {
        "tenant": tenant.pk,
        "customers": list(since),
        "since": list(since.values()),
        "first": min(since.values()),
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_EARLIER, about)
        ids = [period_id for (period_id,) in cursor.fetchall()]
    return books_of(tenant, ids)


def books_of(tenant: Tenant, period_ids: Collection[UUID]) -> list[PeriodBook]:
    """The books of these periods in their order; eight statements for those not remembered."""
    known = _memory.of(tenant)
    ids = list(period_ids)
    missing = [period_id for period_id in ids if period_id not in known]
    if missing:
        known |= {book.period_id: book for book in _read(tenant.pk, missing)}
    return [known[period_id] for period_id in ids if period_id in known]


def _read(tenant_id: UUID, ids: Collection[UUID]) -> list[PeriodBook]:
    rows = SubscriptionPeriod.objects.for_tenant(tenant_id).filter(pk__in=ids)
    periods = list(rows.select_related("subscription"))
    pinned = pinned_versions(tenant_id, periods)
    version_ids = {version_id for found in pinned.values() for version_id in found}
    versions = RatePlanVersion.objects.for_tenant(tenant_id).in_bulk(version_ids)
    paid = VersionCurrency.objects.for_tenant(tenant_id).filter(version_id__in=version_ids)
    currencies = {(row.version_id, row.currency): row for row in paid}
    prices = prices_of_periods(tenant_id, periods)
    phases = {period.contract_phase_id for period in periods} - {None}
    agreements = agreements_of(phases)
    return [
        _book(
            period,
            [
                (versions[version_id], currencies.get((version_id, period.subscription.currency)))
                for version_id in pinned[period.pk]
            ],
            prices[period.pk],
            agreements.get(period.contract_phase_id),
        )
        for period in periods
    ]


def _book(
    period: SubscriptionPeriod,
    versions: Sequence[tuple[RatePlanVersion, VersionCurrency | None]],
    prices: Sequence[PeriodPrice],
    agreed: Agreement | None,
) -> PeriodBook:
    subscription = period.subscription
    book = PeriodBook(
        period_id=period.pk,
        subscription_id=subscription.pk,
        customer_id=subscription.customer_id,
        currency=subscription.currency,
        start=period.start_at,
        end=period.end_at,
        subscribed_at=subscription.start_at.astimezone(ZoneInfo(subscription.time_zone)),
        plans=tuple(_plan(period, *version, prices) for version in versions),
    )
    if agreed is None or agreed.minimum_spend is None or _is_trial(period):
        return book
    by_days = all(_is_by_days(version) for version, _ in versions)
    return replace(
        book,
        plans=tuple(replace(plan, minimum=ZERO) for plan in book.plans),
        minimum=_share(period, agreed.minimum_spend, by_days=by_days),
    )


def _plan(
    period: SubscriptionPeriod,
    version: RatePlanVersion,
    currency: VersionCurrency | None,
    prices: Sequence[PeriodPrice],
) -> PlanBook:
    by_days = _is_by_days(version)
    fees: RatePlanVersion | VersionCurrency = currency or version
    free = _is_trial(period)
    return PlanBook(
        version_id=version.pk,
        plan_id=version.rate_plan_id,
        base_fee=ZERO if free else _share(period, fees.base_fee, by_days=by_days),
        minimum=ZERO if free else _share(period, fees.minimum_spend, by_days=by_days),
        units=tuple(
            _unit(period, price, by_days=by_days)
            for price in prices
            if price.version_id == version.pk
        ),
    )


def _unit(period: SubscriptionPeriod, price: PeriodPrice, *, by_days: bool) -> UnitBook:
    try:
        terms = price.terms.prorated(*_parts(period, by_days=by_days))
    except InvalidTerms:  # the bill run names it; nobody is judged by what cannot be read
        return UnitBook(price.unit_id, ZERO)
    once = terms.charge(NOTHING)
    return UnitBook(price.unit_id, once, terms if once and terms.dimension_keys else None)


def _share(period: SubscriptionPeriod, amount: Decimal, *, by_days: bool) -> Decimal:
    """What of a full period's amount is due for this one: as invoices prorate it."""
    part, whole = _parts(period, by_days=by_days)
    return amount if part == whole else divide(EXACT.multiply(amount, part), whole)


def _parts(period: SubscriptionPeriod, *, by_days: bool) -> tuple[Decimal, Decimal]:
    if not by_days:
        return period.seconds, period.whole_seconds
    zone = period.subscription.time_zone
    return Decimal(period.days(zone)), Decimal(period.whole_days(zone))


def _is_by_days(version: RatePlanVersion) -> bool:
    return bool(version.proration == RatePlanVersion.Proration.DAY)


def _is_trial(period: SubscriptionPeriod) -> bool:
    return bool(period.kind == SubscriptionPeriod.Kind.TRIAL)


Books = Mapping[UUID, PeriodBook]
