"""Where an event is counted: one unit under one plan version in one period."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from catalog.models.billable_units import Aggregation
from catalog.pricing import Terms
from catalog.selectors.contracts import UnitContract
from metering.ingest.arrivals import Arrival

Accepts = Callable[[Mapping[str, object]], bool]


@dataclass(slots=True, eq=False)
class Target:
    """What a unit makes of an event. Without terms the event is recorded but not billed.

    `total_id` is remembered once a transaction that knew it has committed.
    """

    tenant_id: UUID
    customer_id: UUID | None
    subscription_id: UUID | None = None
    version_id: UUID | None = None
    period_id: UUID | None = None
    unit: UnitContract | None = None
    terms: Terms | None = None
    accepts: Accepts | None = None
    total_id: int | None = None
    columns: str = field(init=False)

    @property
    def unique_field(self) -> str | None:
        """The field whose distinct values are counted; None for other aggregations."""
        unit = self.unit
        if unit is None or self.terms is None or unit.aggregation != Aggregation.UNIQUE:
            return None
        return unit.event_field

    def __post_init__(self) -> None:
        context = (
            self.tenant_id,
            self.customer_id,
            self.subscription_id,
            self.version_id,
            self.unit and self.unit.unit_id,
        )
        self.columns = "\t".join("\\N" if value is None else str(value) for value in context)


class Route(NamedTuple):
    """Events that occurred in [start, end) are counted by these targets."""

    start: datetime
    end: datetime
    targets: tuple[Target, ...]


def accepting(targets: tuple[Target, ...], arrival: Arrival) -> tuple[Target, ...]:
    """Those targets whose filter conditions the event meets."""
    if all(target.accepts is None for target in targets):
        return targets
    fields = fields_of(arrival)
    return tuple(target for target in targets if target.accepts is None or target.accepts(fields))


def fields_of(arrival: Arrival) -> Mapping[str, object]:
    """What filter conditions and UNIQUE may look at: metadata, and the event's own fields."""
    event = arrival.event
    own = {
        "customerId": event.customerId,
        "metricName": event.metricName,
        "quantity": event.quantity,
        "productType": event.productType,
        "sessionId": event.sessionId,
        "agentId": event.agentId,
        "toolName": event.toolName,
    }
    text = event.metadata_text()
    return own | msgspec.json.decode(text, type=dict[str, object]) if text else own
