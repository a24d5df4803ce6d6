"""Counting by decision, outside of the drain: into a running total that is named, billed or not."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from aforo.errors import Refused
from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit, Subscription, SubscriptionPeriod
from catalog.pricing import InvalidTerms
from catalog.selectors.contracts import contract_of_unit
from catalog.selectors.prices import PeriodPrice, PriceKey, prices_of_totals
from metering.aggregation import Span
from metering.ingest import rating, write
from metering.ingest.arrivals import Arrival, arrival_of
from metering.ingest.events import Event
from metering.ingest.inbox import Batch
from metering.ingest.targets import Target
from metering.margin.unit_costs import UnitCosts
from metering.models import RunningTotal
from metering.proof import microseconds
from metering.selectors.rate_cards import unit_costs_of

NO_TIME = (0, 1)
"""The span of a period that was taken back."""


def targets_of(tenant: Tenant, total_ids: Collection[int]) -> dict[int, Target]:
    """What counts into each of these totals, under the price of its plan version in its period.

    Raises Refused (UNPRICEABLE) when that price cannot be read.
    """
    totals = RunningTotal.objects.filter(tenant_id=tenant.pk, id__in=total_ids)  # any tenant: by id
    rows = list(totals)
    units = BillableUnit.objects.for_tenant(tenant).in_bulk({row.unit_id for row in rows})
    subscriptions = Subscription.objects.for_tenant(tenant)
    payers = {
        pk: (customer_id, currency)
        for pk, customer_id, currency in subscriptions.filter(
            pk__in={row.subscription_id for row in rows}
        ).values_list("pk", "customer_id", "currency")
    }
    costs = unit_costs_of(tenant.pk)
    prices = prices_of_totals(tenant.pk, set(map(_price_key, rows)))
    spans = _spans(tenant, {row.period_id for row in rows})
    return {
        row.id: _target(
            row,
            customer_id=payers[row.subscription_id][0],
            unit=units[row.unit_id],
            price=prices[_price_key(row)],
            span=spans.get(row.period_id, NO_TIME),
            secret=bytes(tenant.hash_secret),
            costs=costs.get((row.unit_id, payers[row.subscription_id][1])),
        )
        for row in rows
    }


def arrival(
    event: Event,
    *,
    tenant_id: UUID,
    source: str,
    batch_id: UUID,
    batch_index: int,
    received_at: datetime,
) -> Arrival:
    """An event as it stood in its batch, which itself has left the inbox long ago."""
    batch = Batch(
        id=0,
        batch_id=batch_id,
        tenant_id=tenant_id,
        api_key_id=None,
        source=source,
        door="",
        received_at=received_at,
        arrived_at=received_at,
        event_count=1,
        refused={},
        array=msgspec.json.encode(event),
    )
    return arrival_of(batch, batch_index, event)


def append(groups: dict[Target, list[Arrival]]) -> None:
    """Count these events in the caller's transaction, each group at the end of its total."""
    locked = rating.lock_decided(groups)
    rating.see_values(locked)
    with write.usage_events() as take:
        rating.price(locked, take)
    rating.write_back(locked)


def _price_key(total: RunningTotal) -> PriceKey:
    return total.period_id, total.plan_version_id, total.unit_id


def _spans(tenant: Tenant, period_ids: Collection[UUID]) -> Mapping[UUID, Span]:
    periods = SubscriptionPeriod.objects.for_tenant(tenant).filter(pk__in=period_ids)
    return {
        period_id: (microseconds(start), microseconds(end))
        for period_id, start, end in periods.values_list("pk", "start_at", "end_at")
    }


def _target(
    total: RunningTotal,
    *,
    customer_id: UUID,
    unit: BillableUnit,
    price: PeriodPrice | None,
    span: Span,
    secret: bytes,
    costs: UnitCosts | None,
) -> Target:
    if price is None:
        raise Refused(f"its plan version does not price {unit.name!r}", code="UNPRICEABLE")
    try:
        terms = price.terms
    except InvalidTerms as error:
        reason = f"the terms of {unit.name!r} do not hold: {error}"
        raise Refused(reason, code="UNPRICEABLE") from error
    target = Target(
        tenant_id=total.tenant_id,
        customer_id=customer_id,
        subscription_id=total.subscription_id,
        version_id=total.plan_version_id,
        period_id=total.period_id,
        unit=contract_of_unit(unit),
        terms=terms.of_dimension(total.dimension),
        accepts=None,
        span=span,
        dimension=total.dimension,
        costs=costs,
        total_id=total.id,
    )
    # Of its own, since no drain has told this process the tenant's secret.
    target.maker = target.maker_of(total.id, secret)
    return target
