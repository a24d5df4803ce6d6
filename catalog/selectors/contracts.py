"""What pricing an event takes: units, and per customer the subscriptions with periods and prices.

These values are cached per process and, as MessagePack, in Redis: they are read by position, so a
change of their fields needs a new cache key. A cached value holds for one `catalog_version`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db.models import Exists, OuterRef

from catalog.models import (
    BillableUnit,
    ContractPrice,
    Feature,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
    UnitPrice,
)
from catalog.selectors.customer_names import customers_by_name
from catalog.selectors.prices import in_currency, is_pinned, share_of


class UnitContract(msgspec.Struct, frozen=True, array_like=True):
    """One billable unit: it counts events of `metric` that meet `conditions`."""

    unit_id: UUID
    name: str
    metric: str
    aggregation: str
    event_field: str
    unit_cost: Decimal
    conditions: list[dict[str, str]]
    product_type: str
    sources: tuple[str, ...] = ()  # who may send its events; empty: everybody
    is_limited: bool = False  # whether some feature is a quota of it


class PeriodSpan(msgspec.Struct, frozen=True, array_like=True):
    """One stored period [start, end), and what of its prices is its own.

    `share` is the part of an allowance that it grants, None for all; `phase_id` that of the
    customer's contract.
    """

    id: UUID
    start: datetime
    end: datetime
    is_trial: bool = False
    share: tuple[int, int] | None = None
    phase_id: UUID | None = None


class PriceContract(msgspec.Struct, frozen=True, array_like=True):
    """The terms of one unit in one published version."""

    version_id: UUID
    unit_id: UUID
    terms: dict[str, object]


class PlanSpan(msgspec.Struct, frozen=True, array_like=True):
    """A version that prices the periods which begin in [start, end); None is open."""

    version_id: UUID
    start: datetime | None
    end: datetime | None


class AgreedPrice(msgspec.Struct, frozen=True, array_like=True):
    """What a phase of the customer's contract says of one unit; None: as the plan says."""

    phase_id: UUID
    unit_id: UUID
    terms: dict[str, object] | None
    included_free: Decimal | None


class SubscriptionContract(msgspec.Struct, frozen=True, array_like=True):
    """A subscription in force during [start, end); periods in order of time."""

    id: UUID
    currency: str
    start: datetime
    end: datetime | None
    periods: tuple[PeriodSpan, ...]
    prices: tuple[PriceContract, ...]
    plans: tuple[PlanSpan, ...] = ()
    agreed: tuple[AgreedPrice, ...] = ()
    is_paused: bool = False

    def prices_in(self, period: PeriodSpan) -> list[PriceContract]:
        """The prices of the versions that are pinned for this period."""
        pinned = {
            plan.version_id for plan in self.plans if is_pinned(plan.start, plan.end, period.start)
        }
        return [price for price in self.prices if price.version_id in pinned]

    def agreed_in(self, period: PeriodSpan, unit_id: UUID) -> AgreedPrice | None:
        """What the contract says of a unit in this period, if anything."""
        for price in self.agreed if period.phase_id else ():
            if price.phase_id == period.phase_id and price.unit_id == unit_id:
                return price
        return None


class CustomerContract(msgspec.Struct, frozen=True, array_like=True):
    """A customer and its subscriptions in order of their start."""

    customer_id: UUID
    external_id: str
    subscriptions: tuple[SubscriptionContract, ...]


def units_of(tenant_id: UUID) -> tuple[UnitContract, ...]:
    """The units that count events now, by name."""
    units = BillableUnit.objects.for_tenant(tenant_id).filter(archived_at=None).order_by("name")
    limits = Feature.objects.filter(unit=OuterRef("pk"), archived_at=None)  # any tenant: the unit's
    rows = units.annotate(is_limited=Exists(limits))
    return tuple(contract_of_unit(unit, is_limited=unit.is_limited) for unit in rows)


def contract_of_unit(unit: BillableUnit, *, is_limited: bool = False) -> UnitContract:
    """How a unit counts, as the drain knows it; an archived one still has its old totals."""
    return UnitContract(
        unit_id=unit.id,
        name=unit.name,
        metric=unit.metric,
        aggregation=unit.aggregation,
        event_field=unit.event_field,
        unit_cost=unit.unit_cost,
        conditions=unit.filter_conditions,
        product_type=unit.product_type,
        sources=tuple(unit.allowed_sources),
        is_limited=is_limited,
    )


def contracts_of(
    tenant_id: UUID, names: Collection[str], *, since: datetime
) -> dict[str, CustomerContract]:
    """The contracts of customers by the names that events gave, in seven statements at most.

    A name is an external id, a customer's own id, an alias, or the stand-in of a secret alias
    (`alias:<hash>`), looked for in that order. Unknown names are absent. Subscriptions and periods
    that ended before `since` are left out.
    """
    customers = customers_by_name(tenant_id, set(names))
    subscriptions = _subscriptions_by_customer(
        tenant_id, {customer_id for customer_id, _ in customers.values()}, since
    )
    contracts = {
        (customer_id, external_id): CustomerContract(
            customer_id, external_id, tuple(subscriptions.get(customer_id, ()))
        )
        for customer_id, external_id in set(customers.values())
    }
    return {name: contracts[customer] for name, customer in customers.items()}


def _subscriptions_by_customer(
    tenant_id: UUID, customer_ids: Collection[UUID], since: datetime
) -> Mapping[UUID, list[SubscriptionContract]]:
    if not customer_ids:
        return {}
    rows = list(
        Subscription.objects.for_tenant(tenant_id)
        .filter(customer_id__in=customer_ids)
        .exclude(end_at__lt=since)
        .order_by("start_at", "id")
    )
    by_id = {row.pk: row for row in rows}
    periods = _periods(tenant_id, by_id, since)
    plans = _plans(tenant_id, by_id)
    prices = _prices(tenant_id, plans, by_id)
    agreed = _agreed(tenant_id, periods)
    found = defaultdict(list)
    for row in rows:
        found[row.customer_id].append(
            SubscriptionContract(
                id=row.pk,
                currency=row.currency,
                start=row.start_at,
                end=row.end_at,
                periods=tuple(periods[row.pk]),
                prices=tuple(prices[row.pk]),
                plans=tuple(plans[row.pk]),
                agreed=tuple(agreed[row.pk]),
                is_paused=row.state == Subscription.State.PAUSED,
            )
        )
    return found


def _periods(
    tenant_id: UUID, subscriptions: Mapping[UUID, Subscription], since: datetime
) -> Mapping[UUID, list[PeriodSpan]]:
    rows = (
        SubscriptionPeriod.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscriptions, end_at__gte=since)
        .order_by("start_at")
    )
    found = defaultdict(list)
    for row in rows:
        span = PeriodSpan(
            id=row.pk,
            start=row.start_at,
            end=row.end_at,
            is_trial=row.kind == SubscriptionPeriod.Kind.TRIAL,
            share=share_of(row, subscriptions[row.subscription_id]),
            phase_id=row.contract_phase_id,
        )
        found[row.subscription_id].append(span)
    return found


def _plans(tenant_id: UUID, subscription_ids: Collection[UUID]) -> Mapping[UUID, list[PlanSpan]]:
    rows = (
        SubscriptionPlan.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscription_ids)
        .order_by("position", "id")
        .values_list("subscription_id", "version_id", "start_at", "end_at")
    )
    found = defaultdict(list)
    for subscription_id, *plan in rows:
        found[subscription_id].append(PlanSpan(*plan))
    return found


def _prices(
    tenant_id: UUID,
    plans: Mapping[UUID, list[PlanSpan]],
    subscriptions: Mapping[UUID, Subscription],
) -> Mapping[UUID, list[PriceContract]]:
    """Prices per subscription; those of one version and currency share the very same values."""
    rows = _prices_by_version(
        tenant_id, {plan.version_id for own in plans.values() for plan in own}
    )
    in_currencies: dict[tuple[UUID, str], list[PriceContract]] = {}
    found: defaultdict[UUID, list[PriceContract]] = defaultdict(list)
    for subscription_id, own in plans.items():
        currency = subscriptions[subscription_id].currency
        for version_id in dict.fromkeys(plan.version_id for plan in own):
            key = (version_id, currency)
            if key not in in_currencies:
                units = rows[version_id].values()
                paid = (in_currency(by_currency, currency) for by_currency in units)
                in_currencies[key] = [price for price in paid if price is not None]
            found[subscription_id] += in_currencies[key]
    return found


def _prices_by_version(
    tenant_id: UUID, version_ids: Iterable[UUID]
) -> Mapping[UUID, Mapping[UUID, Mapping[str, PriceContract]]]:
    """By version, unit and currency."""
    rows = (
        UnitPrice.objects.for_tenant(tenant_id)
        .filter(version_id__in=version_ids)
        .order_by("position", "id")
        .values_list("version_id", "unit_id", "currency", "terms")
    )
    found: defaultdict[UUID, dict[UUID, dict[str, PriceContract]]] = defaultdict(dict)
    for version_id, unit_id, currency, terms in rows:
        units = found[version_id].setdefault(unit_id, {})
        units[currency] = PriceContract(version_id, unit_id, terms)
    return found


def _agreed(
    tenant_id: UUID, periods: Mapping[UUID, list[PeriodSpan]]
) -> Mapping[UUID, list[AgreedPrice]]:
    """By subscription, what the phases that are pinned to its periods say; none is the rule."""
    phases = {
        (span.phase_id, subscription_id)
        for subscription_id, spans in periods.items()
        for span in spans
        if span.phase_id
    }
    found: defaultdict[UUID, list[AgreedPrice]] = defaultdict(list)
    if not phases:
        return found
    rows = ContractPrice.objects.for_tenant(tenant_id).filter(
        phase_id__in={phase_id for phase_id, _ in phases}
    )
    by_phase: defaultdict[UUID | None, list[AgreedPrice]] = defaultdict(list)
    for row in rows.order_by("id"):
        price = AgreedPrice(row.phase_id, row.unit_id, row.terms, row.included_free)
        by_phase[row.phase_id].append(price)
    for phase_id, subscription_id in sorted(phases, key=str):
        found[subscription_id] += by_phase[phase_id]
    return found
