"""What one event would do to a running total: the drain's arithmetic over a copy of the total."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import msgspec

from aforo.money import EXACT, ZERO
from catalog.models import BillableUnit, RatePlanVersion, Subscription, SubscriptionPeriod
from catalog.pricing import Usage
from metering.aggregation.state import usage_in
from metering.counted_values import value_hash
from metering.ingest import enrichment, rating
from metering.ingest.arrivals import Arrival
from metering.ingest.rating import Locked
from metering.ingest.targets import Target, fields_of
from metering.ingest.totals import EMPTY_DIGEST, Total
from metering.models import RunningTotal, UniqueValue

_NO_TOTAL = 0  # stands for the copy: no total has this id


@dataclass(frozen=True, slots=True)
class Effect:
    """What the event would do to one running total. Amounts are exact; `revenue` is marginal."""

    unit: BillableUnit
    subscription: Subscription
    version: RatePlanVersion
    period: SubscriptionPeriod
    is_held: bool
    quantity_before: Decimal
    quantity_after: Decimal
    price_before: Decimal
    price_after: Decimal
    revenue: Decimal
    cost: Decimal


def effect_of(arrival: Arrival, target: Target) -> Effect:
    """What counting the event would change, as the total stands now; it is read without a lock."""
    total, new_values = _read(arrival, target)
    quantity, revenue, cost = total.quantity, total.revenue, total.cost
    terms = target.terms_of(total.rollover)
    price_before = terms.charge(_usage(total))
    is_billed = total.billed_position is not None
    locked = Locked(
        groups={target: [arrival]},
        total_ids={target: _NO_TOTAL},
        totals={_NO_TOTAL: total},
        new_values=new_values,
    )
    rating.price(locked, lambda _: None)
    tenant_id = target.tenant_id
    subscriptions = Subscription.objects.for_tenant(tenant_id).select_related("customer")
    versions = RatePlanVersion.objects.for_tenant(tenant_id).select_related("rate_plan")
    return Effect(
        unit=BillableUnit.objects.for_tenant(tenant_id).get(pk=target.unit.unit_id),
        subscription=subscriptions.get(pk=target.subscription_id),
        version=versions.get(pk=target.version_id),
        period=SubscriptionPeriod.objects.for_tenant(tenant_id).get(pk=target.period_id),
        is_held=is_billed and not enrichment.bills_late_usage(tenant_id),
        quantity_before=quantity,
        quantity_after=total.quantity,
        price_before=price_before,
        price_after=terms.charge(_usage(total)),
        revenue=EXACT.subtract(total.revenue, revenue),
        cost=EXACT.subtract(total.cost, cost),
    )


def _usage(total: Total) -> Usage:
    return usage_in(total.quantity, total.event_count, total.state)


def _read(arrival: Arrival, target: Target) -> tuple[Total, set[tuple[int, str]]]:
    """A copy of the total, and the event's value if UNIQUE has not seen it there."""
    row = RunningTotal.objects.filter(  # any tenant: a period belongs to one
        period_id=target.period_id,
        plan_version_id=target.version_id,
        unit_id=target.unit.unit_id,
        dimension=target.dimension,
    ).first()
    seen = _has_seen(row, arrival, target)
    new_values = {(_NO_TOTAL, _value(arrival, target))} if seen is False else set()
    if row is None:
        return Total(_NO_TOTAL, ZERO, 0, ZERO, ZERO, 0, EMPTY_DIGEST, None), new_values
    total = Total(
        _NO_TOTAL,
        row.quantity,
        row.event_count,
        row.revenue,
        row.cost,
        row.position,
        bytes(row.digest),
        row.billed_position,
        None if row.state is None else msgspec.json.encode(row.state).decode(),
        row.rollover,
        row.carried,
    )
    return total, new_values


def _has_seen(row: RunningTotal | None, arrival: Arrival, target: Target) -> bool | None:
    """None where distinct values are not what is counted."""
    if target.unique_field is None:
        return None
    value = UUID(_value(arrival, target))
    values = UniqueValue.objects.filter(value=value)  # any tenant: of one total
    return row is not None and values.filter(running_total_id=row.pk).exists()


def _value(arrival: Arrival, target: Target) -> str:
    return value_hash(fields_of(arrival)[target.unique_field or ""])
