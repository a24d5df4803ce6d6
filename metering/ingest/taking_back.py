"""Taking an event back: a row at the end of its total that undoes what the event added."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from aforo.errors import Refused
from aforo.money import EXACT, ZERO, exact
from catalog.models.billable_units import Aggregation
from catalog.pricing import Usage
from metering.aggregation import Latest, Measure, key_hash
from metering.counted_values import value_hash
from metering.ingest import decided, totals
from metering.ingest.arrivals import Arrival
from metering.ingest.events import Event
from metering.ingest.kept import Kept, kept_by
from metering.ingest.standing_costs import ALONE, cost_lost
from metering.ingest.targets import Target, fields_of
from metering.ingest.totals import Total
from metering.models import UsageEvent
from metering.proof import microseconds
from metering.selectors.archives import periods_with_archives
from metering.selectors.corrections import (
    VOID,
    has_standing_value,
    largest_standing,
    last_standing,
)

ONE = Decimal(1)
# From all events that stand.
TOLD_ANEW = frozenset({Aggregation.MAX, Aggregation.UNIQUE, Aggregation.LATEST})


def voiding(row: UsageEvent, *, now: datetime) -> Arrival:
    """The row that takes `row` back: the same event with the negative of its quantity.

    It keeps key and place in the batch, because the event came once, whatever became of it.
    """
    place = {"position": row.position, "eventId": row.pk}
    return decided.arrival(
        event_of(
            row, quantity=EXACT.minus(row.quantity), metadata=msgspec.json.encode({"voids": place})
        ),
        tenant_id=row.tenant_id,
        source=VOID,
        batch_id=row.batch_id,
        batch_index=row.batch_index,
        received_at=now,
    )


def event_of(row: UsageEvent, *, quantity: Decimal, metadata: bytes | None = None) -> Event:
    """The event as it would be sent to become this row."""
    raw = (row.metadata or "").encode() if metadata is None else metadata
    return Event(
        customerId=str(row.customer_id or ""),
        metricName=row.metric,
        quantity=quantity,
        occurredAt=row.occurred_at,
        idempotencyKey=row.idempotency_key,
        productType=row.product_type,
        sessionId=row.session_id,
        agentId=row.agent_id,
        toolName=row.tool_name,
        traceId=row.trace_id,
        metadata=msgspec.Raw(raw),
    )


def require_all_events(targets: Iterable[Target]) -> None:
    """Raise Refused where events have left without which a total cannot be told anew."""
    told_anew = {one.period_id for one in targets if _is_told_anew(one)}
    archived = periods_with_archives() if told_anew else None
    if archived is not None and archived.filter(pk__in=told_anew).exists():
        raise Refused(
            "other events of this billing period are archived, and this unit cannot be told"
            " without them: bring them back first",
            code="EVENTS_ARCHIVED",
        )


def _is_told_anew(target: Target) -> bool:
    kind = target.unit.aggregation
    return kind in TOLD_ANEW or (target.costs is not None and kind not in ALONE)


def take_back(target: Target, total: Total, row: UsageEvent, arrival: Arrival) -> str:
    """The voiding row as COPY takes it; the locked `total` stands after it.

    Revenue and cost are exactly what leaving the event out takes from those of the total.
    """
    maker = target.maker
    assert maker is not None  # noqa: S101 - targets of named totals have one
    maker.chain.digest = total.digest
    terms = target.terms_of(total.rollover)
    with exact():
        kept = kept_by(target, terms, total)
        before = (kept and kept.usage) or Usage(total.quantity, total.event_count)
        quantity = _quantity_without(target, total, row, kept)
        after = Usage(quantity, total.event_count - 1)
        if kept and kept.usage:
            step = _own_step(target, row, total.quantity - quantity)
            after = kept.usage = terms.remove(
                kept.usage, terms.part_of(step, fields_of(_as_it_came(row)))
            )
        revenue = terms.charge(after) - terms.charge(before)
        cost = _cost_without(target, total, row, quantity)
        line = maker.priced(arrival, total.position + 1, revenue, cost)
        total.revenue += revenue
        total.cost += cost
    if kept:
        total.state = kept.text()
    total.quantity, total.event_count = quantity, total.event_count - 1
    total.position += 1
    total.digest = maker.chain.digest
    return line


def _own_step(target: Target, row: UsageEvent, lost: Decimal) -> Decimal:
    """What the event had moved the quantity by, as far as its aggregation lets one say."""
    match target.unit.aggregation:
        case Aggregation.COUNT:
            return ONE
        case Aggregation.SUM:
            own: Decimal = row.quantity
            return own
        case _:
            return lost


def _cost_without(target: Target, total: Total, row: UsageEvent, after: Decimal) -> Decimal:
    """The event's own cost where it stood alone for it, else what the others cost without it."""
    if target.unit.aggregation in ALONE:
        own: Decimal = row.cost
        return -own
    if target.costs is None:
        return target.unit.unit_cost * (after - total.quantity)
    return -cost_lost(target, total, row.position or 0)


def _quantity_without(target: Target, total: Total, row: UsageEvent, kept: Kept | None) -> Decimal:
    """The total's quantity as if the event had never come, from the events where it must be."""
    position = row.position or 0
    if kept and kept.measure:
        if not kept.measure.remove(*_placed(row)):
            kept.measure = _from_the_last_standing(target, total, position)
        return kept.measure.quantity
    match target.unit.aggregation:
        case Aggregation.COUNT:
            return total.quantity - ONE
        case Aggregation.SUM:
            return total.quantity - row.quantity
        case Aggregation.MAX:
            if row.quantity < total.quantity:
                return total.quantity
            return max(largest_standing(total.id, but=position), total.carried or ZERO)
        case Aggregation.UNIQUE:
            return total.quantity - _values_lost(target, total, row, position)
        case unknown:
            raise ValueError(f"no arithmetic for aggregation {unknown}")


def _from_the_last_standing(target: Target, total: Total, position: int) -> Measure:
    """LATEST told anew: of the events at the last instant the one with the higher hash."""
    measure = Latest.from_state(None, span=target.span, carried=total.carried)
    for event in last_standing(total.id, but=position):
        measure.add(*_placed(event))
    return measure


def _placed(row: UsageEvent) -> tuple[int, str, Decimal]:
    return microseconds(row.occurred_at), key_hash(row.idempotency_key), row.quantity


def _as_it_came(row: UsageEvent) -> Arrival:
    return decided.arrival(
        event_of(row, quantity=row.quantity),
        tenant_id=row.tenant_id,
        source=row.source,
        batch_id=row.batch_id,
        batch_index=row.batch_index,
        received_at=row.received_at,
    )


def _values_lost(target: Target, total: Total, row: UsageEvent, position: int) -> Decimal:
    """One when nothing else has the event's value, which the total then forgets.

    A value that was carried over stays, whatever its period's events say.
    """
    field = target.unique_field or ""
    value = value_hash(fields_of(_as_it_came(row))[field])
    if has_standing_value(total.id, but=position, field=field, value=value):
        return ZERO
    return Decimal(totals.forget_value(total.id, value))
