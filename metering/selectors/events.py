"""The events behind a running total, as an auditor walks them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from aforo.money import plain
from metering import proof
from metering.counted_values import fields_of, value_hash
from metering.models import UsageEvent

ROWS_AT_A_TIME = 2_000  # ~1 MB: what a walk over any number of events holds in memory


class CountedEvent(NamedTuple):
    """One stored event: its hashed columns in their order, and the digest stored beside them."""

    running_total_id: int
    position: int
    plan_version_id: UUID
    subscription_id: UUID
    customer_id: UUID
    unit_id: UUID
    metric: str
    idempotency_key: str
    quantity: Decimal
    revenue: Decimal
    cost: Decimal
    occurred_at: datetime
    received_at: datetime
    late: bool
    product_type: str | None
    session_id: str | None
    agent_id: str | None
    tool_name: str | None
    trace_id: str | None
    metadata: str | None
    source: str
    batch_id: UUID
    batch_index: int
    digest: bytes

    def canonical(self) -> bytes:
        """The bytes whose hash the chain holds: what `metering.proof` says of these columns."""
        return proof.canonical(
            (
                *self[:_QUANTITY],
                plain(self.quantity),
                plain(self.revenue),
                plain(self.cost),
                proof.microseconds(self.occurred_at),
                proof.microseconds(self.received_at),
                *self[_LATE:-1],
            )
        )

    def fields(self) -> Mapping[str, object]:
        """What the event says of itself: its metadata, before its own fields of the same name."""
        own = {
            "metricName": self.metric,
            "quantity": self.quantity,
            "productType": self.product_type,
            "sessionId": self.session_id,
            "agentId": self.agent_id,
            "toolName": self.tool_name,
        }
        return fields_of(self.metadata, own)

    def value_of(self, field: str) -> str:
        """The hash of the value that UNIQUE counts, as the drain made it."""
        return value_hash(self.fields().get(field))


_QUANTITY = CountedEvent._fields.index("quantity")
_LATE = CountedEvent._fields.index("late")


def events_of_span(running_total_id: int, first: int, last: int) -> Iterator[CountedEvent]:
    """The events of one total from position `first` to `last`, in order, in constant memory."""
    events = (
        UsageEvent.objects.filter(  # any tenant: a total belongs to one
            running_total_id=running_total_id, position__gte=first, position__lte=last
        )
        .order_by("position")
        .values_list(*CountedEvent._fields)
    )
    for row in events.iterator(chunk_size=ROWS_AT_A_TIME):
        yield CountedEvent._make(row)


def digest_before(running_total_id: int, position: int) -> bytes:
    """The digest that the chain had reached before `position`."""
    if position <= 1:
        return proof.START
    event = UsageEvent.objects.filter(  # any tenant: a total belongs to one
        running_total_id=running_total_id, position=position - 1
    )
    return bytes(event.values_list("digest", flat=True).first() or b"")
