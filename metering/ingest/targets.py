"""Where an event is counted: one unit under one plan version in one period, or nowhere."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from catalog.models.billable_units import Aggregation
from catalog.pricing import Terms
from catalog.selectors.contracts import UnitContract
from catalog.selectors.prices import with_rollover
from metering import counted_values
from metering.aggregation import MEASURES, Span
from metering.ingest.arrivals import Arrival
from metering.ingest.rows import RowMaker
from metering.margin.unit_costs import UnitCosts

Accepts = Callable[[Mapping[str, object]], bool]


@dataclass(slots=True, eq=False)
class Target:
    """A unit with a price: it has a running total, remembered once it is surely committed.

    Where terms have dimensions it stands for all of them: `of_dimension` gives those that count.
    """

    tenant_id: UUID
    customer_id: UUID
    subscription_id: UUID
    version_id: UUID
    period_id: UUID
    unit: UnitContract
    terms: Terms
    accepts: Accepts | None
    span: Span = (0, 0)  # of the period
    dimension: str = ""
    costs: UnitCosts | None = None  # None: every unit costs what the catalog says
    total_id: int | None = None
    customer: str = ""  # its external id
    columns: str = field(init=False)
    hashed_context: tuple[str, ...] = field(init=False)
    unique_field: str | None = field(init=False)  # whose distinct values are counted, if any are
    is_plain: bool = field(init=False)  # nothing is remembered but the quantity
    is_limited: bool = field(init=False)  # whether somebody is denied more at some quantity
    maker: RowMaker | None = None  # the one that was used last
    by_dimension: dict[str, "Target"] = field(default_factory=dict, repr=False)
    _rolled: tuple[Decimal, Terms] | None = None  # the rollover that was asked for last

    def __post_init__(self) -> None:
        customer, subscription = str(self.customer_id), str(self.subscription_id)
        version, unit = str(self.version_id), str(self.unit.unit_id)
        self.columns = "\t".join((str(self.tenant_id), customer, subscription, version, unit))
        self.hashed_context = (version, subscription, customer, unit)
        is_unique = self.unit.aggregation == Aggregation.UNIQUE
        self.unique_field = self.unit.event_field if is_unique else None
        self.is_plain = self.unit.aggregation not in MEASURES and not self.terms.keeps_parts
        self.is_limited = self.unit.is_limited or self.terms.has_hard_limit

    @property
    def looks_inside(self) -> bool:
        """Whether an event must be opened before it is counted here."""
        terms = self.terms
        return bool(self.unique_field or terms.dimension_keys or terms.part_keys)

    def unit_cost_of(self, arrival: Arrival) -> Decimal:
        """What one unit of this event costs: by the rate cards, else by the catalog."""
        if self.costs is None:
            return self.unit.unit_cost
        fields: Mapping[str, object] = {}
        if self.costs.looks_inside:
            with suppress(counted_values.UnreadableMetadata):  # no card can be for what is in it
                fields = fields_of(arrival)
        return self.costs.of(fields, arrival.occurred)

    def of_dimension(self, dimension: str) -> "Target":
        """The target of one dimension value, remembered in `by_dimension`."""
        terms = self.terms.of_dimension(dimension)
        found = replace(self, terms=terms, dimension=dimension, maker=None, by_dimension={})
        self.by_dimension[dimension] = found
        return found

    def terms_of(self, rollover: Decimal) -> Terms:
        """The terms of a total that grants so many units beside those included."""
        if not rollover:
            return self.terms
        if self._rolled is None or self._rolled[0] != rollover:
            self._rolled = rollover, with_rollover(self.terms, rollover)
        return self._rolled[1]

    def maker_of(self, total_id: int, secret: bytes) -> RowMaker:
        """What makes the rows of one total of this target."""
        unit = self.unit
        return RowMaker(
            self.columns, self.hashed_context, total_id, secret, product_type=unit.product_type
        )


@dataclass(slots=True, eq=False)
class Unbilled:
    """Nobody's price applies: the event is recorded, in no total."""

    tenant_id: UUID
    customer_id: UUID | None
    subscription_id: UUID | None = None
    unit_id: UUID | None = None
    accepts: Accepts | None = None
    product_type: str = ""  # of the unit, for events that name none
    columns: str = field(init=False)

    def __post_init__(self) -> None:
        context = (self.tenant_id, self.customer_id, self.subscription_id, None, self.unit_id)
        self.columns = "\t".join("\\N" if value is None else str(value) for value in context)


class Route(NamedTuple):
    """Events that occurred in [start, end) are counted by these targets."""

    start: datetime
    end: datetime
    targets: tuple[Target | Unbilled, ...]
    has_conditions: bool  # whether anybody must look inside the event first


def fields_of(arrival: Arrival) -> Mapping[str, object]:
    """What filter conditions and UNIQUE may look at: metadata, and the event's own fields.

    Raises UnreadableMetadata.
    """
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
    return counted_values.fields_of(event.metadata_text(), own)
