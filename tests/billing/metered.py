"""Usage as the drain would have left it: events in a chain, and the total that counts them."""

from datetime import timedelta
from decimal import Decimal

from aforo.ids import new_id
from aforo.money import ZERO, exact, plain
from catalog.models import SubscriptionPlan
from catalog.pricing import Usage, parse_terms
from catalog.selectors.prices import with_rollover
from metering import proof
from metering.models import Receipt, RunningTotal, UsageEvent
from metering.services import partitions


def meter(period, unit, quantities, *, version=None, metadata=None, terms=None, dimension=""):
    """Events of one unit, one per quantity, evenly over `period`; returns their running total.

    A total that begins with a rollover goes on from there. `terms` are those of the version unless
    given, for the total's dimension.
    """
    version = version or SubscriptionPlan.objects.get(subscription=period.subscription).version
    total, _ = RunningTotal.objects.get_or_create(
        tenant_id=period.tenant_id,
        subscription_id=period.subscription_id,
        plan_version_id=version.id,
        unit_id=unit.id,
        period_id=period.id,
        dimension=dimension,
    )
    terms = parse_terms(terms or version.prices.get(unit=unit).terms).of_dimension(dimension)
    terms = with_rollover(terms, total.rollover)
    chain = proof.Chain(proof.total_key(bytes(period.tenant.hash_secret), total.id))
    step = (period.end_at - period.start_at) / (len(quantities) + 1)
    events, seen, batch_id = [], set(), new_id()
    with exact():
        for index, quantity in enumerate(map(Decimal, quantities)):
            before, count = total.quantity, total.event_count
            text = (metadata or {}).get(index)
            after = _aggregated(unit, Decimal(before), quantity, text, seen)
            revenue = terms.marginal(Usage(Decimal(before), count), Usage(after, count + 1))
            event = UsageEvent(
                tenant_id=period.tenant_id,
                customer_id=period.subscription.customer_id,
                subscription_id=period.subscription_id,
                plan_version_id=version.id,
                unit_id=unit.id,
                running_total_id=total.id,
                position=index + 1,
                idempotency_key=f"{unit.name}-{total.id}-{index}",
                metric=unit.metric,
                quantity=quantity,
                revenue=revenue,
                cost=ZERO,
                occurred_at=period.start_at + step * (index + 1),
                received_at=period.start_at + step * (index + 1) + timedelta(seconds=1),
                late=False,
                product_type=unit.product_type,
                session_id="session-1",
                agent_id="agent-1",
                tool_name="search",
                trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
                metadata=text or '{"model":"x"}',
                source="API",
                batch_id=batch_id,
                batch_index=index,
            )
            event.digest = chain.append(_canonical(event))
            events.append(event)
            total.quantity, total.event_count = after, count + 1
            total.revenue += revenue
            total.position, total.digest = index + 1, event.digest
    partitions.make_around([period.start_at])
    UsageEvent.objects.bulk_create(events)
    total.save()
    _receive(period, batch_id, len(events))
    return total


def _receive(period, batch_id, count):
    Receipt.objects.create(
        batch_id=batch_id,
        tenant_id=period.tenant_id,
        source="API",
        received_at=period.end_at,
        arrived_at=period.end_at,
        drained_at=period.end_at,
        event_count=count,
        counted=count,
        unbilled=0,
        duplicates=0,
        dead=0,
        held=0,
    )


def _aggregated(unit, before, quantity, metadata, seen):
    match unit.aggregation:
        case "COUNT":
            return before + 1
        case "SUM":
            return before + quantity
        case "MAX" | "PERCENTILE_95":  # of the latter an estimate
            return max(before, quantity)
        case "UNIQUE":
            is_new = metadata not in seen
            seen.add(metadata)
            return before + is_new


def _canonical(event):
    values = {name: getattr(event, name) for name in proof.HASHED_COLUMNS}
    for name in ("quantity", "revenue", "cost"):
        values[name] = plain(values[name])
    for name in ("occurred_at", "received_at"):
        values[name] = proof.microseconds(values[name])
    return proof.canonical(tuple(values.values()))
