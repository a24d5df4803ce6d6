"""What pricing an event takes: units, and per customer the subscriptions with periods and prices.

These values are cached per process and, as MessagePack, in Redis: they are read by position, so a
change of their fields needs a new cache key. A cached value holds for one `catalog_version`.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db.models import Q

from catalog import aliases
from catalog.models import (
    BillableUnit,
    Customer,
    CustomerAlias,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
    UnitPrice,
)

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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


class PeriodSpan(msgspec.Struct, frozen=True, array_like=True):
    """One stored period [start, end)."""

    id: UUID
    start: datetime
    end: datetime


class PriceContract(msgspec.Struct, frozen=True, array_like=True):
    """The terms of one unit in one published version."""

    version_id: UUID
    unit_id: UUID
    terms: dict[str, object]


class SubscriptionContract(msgspec.Struct, frozen=True, array_like=True):
    """A subscription in force during [start, end); periods in order of time."""

    id: UUID
    currency: str
    start: datetime
    end: datetime | None
    periods: tuple[PeriodSpan, ...]
    prices: tuple[PriceContract, ...]


class CustomerContract(msgspec.Struct, frozen=True, array_like=True):
    """A customer and its subscriptions in order of their start."""

    customer_id: UUID
    external_id: str
    subscriptions: tuple[SubscriptionContract, ...]


def units_of(tenant_id: UUID) -> tuple[UnitContract, ...]:
    """The units that count events now, by name."""
    units = BillableUnit.objects.for_tenant(tenant_id).filter(archived_at=None).order_by("name")
    return tuple(map(contract_of_unit, units))


def contract_of_unit(unit: BillableUnit) -> UnitContract:
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
    )


def contracts_of(
    tenant_id: UUID, names: Collection[str], *, since: datetime
) -> dict[str, CustomerContract]:
    """The contracts of customers by the names that events gave, in six statements at most.

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


def customers_by_name(tenant_id: UUID, names: set[str]) -> dict[str, tuple[UUID, str]]:
    """(id, external id) per name that is known: one that `contracts_of` takes."""
    ids = [own_id for own_id in map(_id_in, names) if own_id]
    known = Customer.objects.for_tenant(tenant_id).filter(Q(external_id__in=names) | Q(id__in=ids))
    rows = list(known.values_list("id", "external_id"))
    customers = {str(row[0]): row for row in rows if str(row[0]) in names}
    customers |= {row[1]: row for row in rows if row[1] in names}
    digests = {
        name: aliases.digest_in(name) or aliases.digest_of(tenant_id, name)
        for name in names
        if name not in customers
    }
    if digests:
        by_digest = _customers_by_digest(tenant_id, digests.values())
        customers |= {
            name: by_digest[digest] for name, digest in digests.items() if digest in by_digest
        }
    return customers


def _id_in(name: str) -> UUID | None:
    """The id that a name spells out, as the answers of the API do."""
    return UUID(name) if _ID.fullmatch(name) else None


def _customers_by_digest(
    tenant_id: UUID, digests: Collection[bytes]
) -> Mapping[bytes, tuple[UUID, str]]:
    rows = (
        CustomerAlias.objects.for_tenant(tenant_id)
        .filter(digest__in=digests)
        .values_list("digest", "customer_id", "customer__external_id")
    )
    return {bytes(digest): (customer_id, name) for digest, customer_id, name in rows}


def _subscriptions_by_customer(
    tenant_id: UUID, customer_ids: Collection[UUID], since: datetime
) -> Mapping[UUID, list[SubscriptionContract]]:
    if not customer_ids:
        return {}
    rows = (
        Subscription.objects.for_tenant(tenant_id)
        .filter(customer_id__in=customer_ids)
        .exclude(end_at__lt=since)
        .order_by("start_at", "id")
        .values_list("id", "customer_id", "currency", "start_at", "end_at")
    )
    ids = [row[0] for row in rows]
    periods = _periods(tenant_id, ids, since)
    prices = _prices(tenant_id, ids)
    found = defaultdict(list)
    for subscription_id, customer_id, currency, start, end in rows:
        found[customer_id].append(
            SubscriptionContract(
                id=subscription_id,
                currency=currency,
                start=start,
                end=end,
                periods=tuple(periods[subscription_id]),
                prices=tuple(prices[subscription_id]),
            )
        )
    return found


def _periods(
    tenant_id: UUID, subscription_ids: Collection[UUID], since: datetime
) -> Mapping[UUID, list[PeriodSpan]]:
    rows = (
        SubscriptionPeriod.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscription_ids, end_at__gte=since)
        .order_by("start_at")
        .values_list("subscription_id", "id", "start_at", "end_at")
    )
    found = defaultdict(list)
    for subscription_id, *span in rows:
        found[subscription_id].append(PeriodSpan(*span))
    return found


def _prices(
    tenant_id: UUID, subscription_ids: Collection[UUID]
) -> Mapping[UUID, list[PriceContract]]:
    """Prices per subscription; subscriptions of one version share the very same values."""
    pinned = list(
        SubscriptionPlan.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscription_ids)
        .order_by("position", "id")
        .values_list("subscription_id", "version_id")
    )
    by_version = _prices_by_version(tenant_id, {version_id for _, version_id in pinned})
    found: defaultdict[UUID, list[PriceContract]] = defaultdict(list)
    for subscription_id, version_id in pinned:
        found[subscription_id] += by_version[version_id]
    return found


def _prices_by_version(
    tenant_id: UUID, version_ids: Iterable[UUID]
) -> Mapping[UUID, list[PriceContract]]:
    rows = (
        UnitPrice.objects.for_tenant(tenant_id)
        .filter(version_id__in=version_ids)
        .order_by("position", "id")
        .values_list("version_id", "unit_id", "terms")
    )
    found = defaultdict(list)
    for version_id, unit_id, terms in rows:
        found[version_id].append(PriceContract(version_id, unit_id, terms))
    return found
