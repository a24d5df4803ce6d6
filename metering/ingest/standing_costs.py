"""What an event that is taken back had cost its total, where rate cards price single events.

A level such as the highest so far costs what each event that raised it costs. Without one of them
others raise it, at their own price: that is told by walking all events that stand, with it and
without it.
"""

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal

from aforo.money import EXACT, ZERO
from catalog.models.billable_units import Aggregation
from metering.aggregation import key_hash
from metering.counted_values import UnreadableMetadata
from metering.ingest.targets import Target
from metering.ingest.totals import Total
from metering.margin.unit_costs import UnitCosts
from metering.models import RunningTotal, UniqueValue
from metering.proof import microseconds
from metering.recount.levels import Counted, Level
from metering.selectors.corrections import VOID, taken_back
from metering.selectors.events import CountedEvent, events_of_span

ALONE = frozenset({Aggregation.COUNT, Aggregation.SUM})
"""Each event moves these by itself, whatever else stands."""


def cost_lost(target: Target, total: Total, position: int) -> Decimal:
    """What leaving the event at `position` out takes from the cost of those that stand."""
    assert target.costs is not None  # noqa: S101 - else a step costs the same, whoever makes it
    whole, rest = level_of(target, total), level_of(target, total)
    lost = ZERO
    for event in standing_events(total.id, total.position):
        counted = counted_by(target, event)
        step = step_of(whole, counted)
        if event.position != position:
            step = EXACT.subtract(step, step_of(rest, counted))
        if step:
            lost = EXACT.add(lost, EXACT.multiply(step, unit_cost_of(target.costs, event)))
    return lost


def standing_events(total_id: int, last: int) -> Iterator[CountedEvent]:
    """A total's events that nobody has taken back, in the order in which they were counted."""
    gone = taken_back([total_id]).get(total_id, {})
    for event in events_of_span(total_id, 1, last):
        if event.source != VOID and event.position not in gone:
            yield event


def level_of(target: Target, total: Total | RunningTotal) -> Level:
    """The level that a total has without an event: what was carried over."""
    level = Level(target.unit.aggregation, remembers=False, span=target.span)
    if total.carried is not None:
        values = UniqueValue.objects.filter(  # any tenant: by total
            running_total_id=total.id, is_carried=True
        )
        level.begin_with(total.carried, [one.hex for one in values.values_list("value", flat=True)])
    return level


def step_of(level: Level, event: Counted) -> Decimal:
    """How far the event moves the level."""
    before = level.quantity
    level.add(event)
    return EXACT.subtract(level.quantity, before)


def counted_by(target: Target, event: CountedEvent) -> Counted:
    """What the target's aggregation looks at."""
    field = target.unique_field
    return Counted(
        quantity=event.quantity,
        value=None if field is None else event.value_of(field),
        moment=microseconds(event.occurred_at),
        key=key_hash(event.idempotency_key),
    )


def unit_cost_of(costs: UnitCosts, event: CountedEvent) -> Decimal:
    """What one unit of a stored event costs, as the drain asked."""
    fields: dict[str, object] = {}
    if costs.looks_inside:
        with suppress(UnreadableMetadata):  # no card can be for what is in it
            fields = dict(event.fields())
    return costs.of(fields, event.occurred_at)
