"""Margins as people ask for them: of the tenant, by customer, product, metric or cohort."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from aforo.money import EXACT, ZERO
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, Customer, Product, RatePlan
from metering.margin.arithmetic import Margin, split
from metering.margin.slices import Slice, current_slices
from metering.models import CustomerTag


class GroupBy(StrEnum):
    """What margins are told by; a plan, a month of start or a tag is a cohort."""

    TENANT = "tenant"
    CUSTOMER = "customer"
    PRODUCT = "product"
    METRIC = "metric"
    PLAN = "plan"
    START_MONTH = "startMonth"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class MarginFilter:
    """Which slices count; an empty collection is no limit."""

    customer_ids: Collection[UUID] | None = None
    unit_ids: Collection[UUID] | None = None
    plan_ids: Collection[UUID] | None = None
    currency: str = ""

    def takes(self, one: Slice) -> bool:
        return (
            (self.unit_ids is None or one.unit_id in self.unit_ids)
            and (self.plan_ids is None or one.plan_id in self.plan_ids)
            and (not self.currency or one.book.currency == self.currency)
        )


@dataclass(frozen=True, slots=True)
class MarginRow:
    """One group in one currency. `key` is its id or text, "" for what belongs to none."""

    key: str
    label: str
    currency: str
    margin: Margin


@dataclass(frozen=True, slots=True)
class MarginView:
    """Groups by currency, the tenant's own first, and in each the least profit first.

    `unmatched`: how much of the costs is in currencies that their customers do not pay in.
    """

    rows: Sequence[MarginRow]
    unmatched: Mapping[str, Decimal]


def margins(
    tenant: Tenant, *, by: GroupBy, now: datetime, only: MarginFilter | None = None
) -> MarginView:
    """Margins of the periods that run at `now`, set by set; never a scan of events."""
    only = only or MarginFilter()
    found = current_slices(tenant, now=now, customer_ids=only.customer_ids)
    groups: defaultdict[tuple[str, str], Margin] = defaultdict(Margin)
    for key, one in _keyed(tenant, by, filter(only.takes, found.rows)):
        groups[key, one.book.currency] += one.margin
    labels = _labels(tenant, by, {key for key, _ in groups})
    rows = [
        MarginRow(key, labels.get(key, key), currency, margin)
        for (key, currency), margin in groups.items()
    ]
    unmatched: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (_, currency), amount in found.unmatched.items():
        unmatched[currency] = EXACT.add(unmatched[currency], amount)
    own = tenant.currency
    rows.sort(
        key=lambda row: (
            row.currency != own,
            row.currency,
            row.margin.profit,
            row.label,
            row.key,
        )
    )
    return MarginView(rows, dict(sorted(unmatched.items())))


def _keyed(tenant: Tenant, by: GroupBy, slices: Iterable[Slice]) -> Iterable[tuple[str, Slice]]:
    match by:
        case GroupBy.PRODUCT:
            return _by_several(_products(tenant), slices, lambda one: one.unit_id)
        case GroupBy.TAG:
            return _by_several(_tags(tenant), slices, lambda one: one.book.customer_id, whole=True)
        case _:
            return ((_key(by, one), one) for one in slices)


def _key(by: GroupBy, one: Slice) -> str:
    match by:
        case GroupBy.CUSTOMER:
            return str(one.book.customer_id)
        case GroupBy.METRIC:
            return str(one.unit_id or "")
        case GroupBy.PLAN:
            return str(one.plan_id or "")
        case GroupBy.START_MONTH:
            return f"{one.book.subscribed_at:%Y-%m}"
        case _:
            return ""


def _by_several(
    groups: Mapping[UUID, Sequence[str]],
    slices: Iterable[Slice],
    owner: Callable[[Slice], UUID | None],
    *,
    whole: bool = False,
) -> Iterable[tuple[str, Slice]]:
    """Slices in every group of their owner: all of it in each, or in even parts."""
    for one in slices:
        found = owner(one)
        keys = (groups.get(found) if found else None) or [""]
        if whole or len(keys) == 1:
            yield from ((key, one) for key in keys)
            continue
        revenues, costs = (
            split(amount, len(keys)) for amount in (one.margin.revenue, one.margin.cost)
        )
        for key, *part in zip(keys, revenues, costs, strict=True):
            yield key, replace(one, margin=Margin(*part))


def _products(tenant: Tenant) -> Mapping[UUID, list[str]]:
    rows = BillableUnit.objects.for_tenant(tenant).filter(products__isnull=False)
    found: defaultdict[UUID, list[str]] = defaultdict(list)
    for unit_id, product_id in rows.order_by("products__name").values_list("pk", "products"):
        found[unit_id].append(str(product_id))
    return found


def _tags(tenant: Tenant) -> Mapping[UUID, list[str]]:
    found: defaultdict[UUID, list[str]] = defaultdict(list)
    rows = CustomerTag.objects.for_tenant(tenant).order_by("tag")
    for customer_id, tag in rows.values_list("customer_id", "tag"):
        found[customer_id].append(tag)
    return found


_NAMED = {
    GroupBy.CUSTOMER: (Customer, "external_id"),
    GroupBy.METRIC: (BillableUnit, "name"),
    GroupBy.PLAN: (RatePlan, "name"),
    GroupBy.PRODUCT: (Product, "name"),
}


def _labels(tenant: Tenant, by: GroupBy, keys: Collection[str]) -> Mapping[str, str]:
    if by not in _NAMED:
        return {}
    model, name = _NAMED[by]
    rows = model.objects.for_tenant(tenant).filter(pk__in=[key for key in keys if key])
    return {str(pk): label for pk, label in rows.values_list("pk", name)}


def total_of(rows: Iterable[MarginRow]) -> Mapping[str, Margin]:
    """All groups together, by currency."""
    found: defaultdict[str, Margin] = defaultdict(lambda: Margin(ZERO, ZERO))
    for row in rows:
        found[row.currency] += row.margin
    return found
