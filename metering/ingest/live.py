"""What the live stream shows of a drain: told after the commit, and only where somebody listens.

Streams keep a sorted set of the tenants that are listened to; a drain asks for it once a second.
At most 200 events of each type are told per drain and tenant, so that a flood costs nothing; how
many there were is told as well. Nothing here ever fails a drain: the stream may miss something.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
import redis
import structlog
from django.db import transaction

from aforo import valkey
from metering.ingest import events
from metering.ingest.arrivals import Arrival, Dead, Fate
from metering.ingest.dedupe import Judgement
from metering.ingest.enrichment import Routed
from metering.ingest.inbox import Batch
from metering.ingest.routing import Targets
from metering.ingest.targets import Target

LISTENED = "live:listened"  # a sorted set: tenant, and until when in seconds since 1970
CHANNEL = "live:events:"  # and the tenant's id
ASK_EVERY = 1.0  # seconds
MOST_OF_A_TYPE = 200
MOST_BATCHES_OPENED = 20  # for what refused events look like: a millisecond each
log = structlog.get_logger(__name__)


class Step(StrEnum):
    """What happened to an event, in the order in which it may happen."""

    VALIDATED = "VALIDATED"
    DEDUPLICATED = "DEDUPLICATED"
    ENRICHED = "ENRICHED"
    FLAGGED = "FLAGGED"
    REJECTED = "REJECTED"


class Shown(msgspec.Struct, omit_defaults=True, gc=False):
    """One event as the stream tells it; `customerId` and `metricName` as it was sent."""

    type: str
    batchId: str  # noqa: N815 - the wire's spelling, here and below
    index: int
    source: str
    receivedAt: datetime  # noqa: N815
    customerId: str | None = None  # noqa: N815
    metricName: str | None = None  # noqa: N815
    quantity: msgspec.Raw = msgspec.Raw()
    idempotencyKey: str | None = None  # noqa: N815
    occurredAt: datetime | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    outcome: str | None = None
    units: list[str] | None = None
    code: str | None = None
    detail: str | None = None


class Notice(msgspec.Struct, gc=False):
    """What one drain did with one tenant's events; `events` are the first of each type."""

    counts: dict[str, int]
    events: list[Shown]


class Audience:
    """Which tenants are listened to, as one process knows it."""

    def __init__(self) -> None:
        self._ask_at = 0.0
        self._listened: frozenset[UUID] = frozenset()

    def listened(self) -> frozenset[UUID]:
        """At most a second old; nobody while Redis is away. Never raises."""
        if time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + ASK_EVERY
            try:
                found = valkey.client().zrangebyscore(LISTENED, time.time(), "+inf")
                self._listened = frozenset(UUID(name.decode()) for name in found)  # type: ignore[union-attr]
            except (redis.RedisError, ValueError):
                self._listened = frozenset()
        return self._listened


_audience = Audience()
listened = _audience.listened


def tell(judged: Judgement, routed: Sequence[Routed], dead: Sequence[Dead]) -> None:
    """Tell the streams after the commit what became of a drain's events, if anybody listens."""
    if tenants := listened():
        transaction.on_commit(lambda: _publish(tenants, judged, routed, dead), robust=True)


def _publish(
    tenants: frozenset[UUID], judged: Judgement, routed: Sequence[Routed], dead: Sequence[Dead]
) -> None:
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for tenant_id, notice in notices(tenants, judged, routed, dead).items():
                pipeline.publish(f"{CHANNEL}{tenant_id}", msgspec.json.encode(notice))
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("live_stream_missed_a_drain", error=str(error))


def notices(
    tenants: frozenset[UUID], judged: Judgement, routed: Sequence[Routed], dead: Sequence[Dead]
) -> Mapping[UUID, Notice]:
    """What to tell each tenant that is listened to."""
    told = _Told(tenants)
    for arrival, targets in routed:
        for step in _steps(arrival):
            if (shown := told.room(arrival.batch, step)) is not None:
                shown.append(_shown(arrival, step, targets))
    for arrival in judged.repeated:
        for step in (Step.VALIDATED, Step.DEDUPLICATED):
            if (shown := told.room(arrival.batch, step)) is not None:
                shown.append(_shown(arrival, step))
    opened: dict[int, list[msgspec.Raw]] = {}
    for letter in dead:
        if (shown := told.room(letter.batch, Step.REJECTED)) is not None:
            shown.append(_refused(letter, opened))
    return told.notices


class _Told:
    """The notices of one drain while they grow."""

    def __init__(self, tenants: frozenset[UUID]) -> None:
        self._tenants = tenants
        self.notices: dict[UUID, Notice] = {}

    def room(self, batch: Batch, step: Step) -> list[Shown] | None:
        """Where to put one more event, which is counted; None when enough of these are told."""
        if batch.tenant_id not in self._tenants:
            return None
        notice = self.notices.setdefault(batch.tenant_id, Notice({}, []))
        notice.counts[step.value] = count = notice.counts.get(step.value, 0) + 1
        return notice.events if count <= MOST_OF_A_TYPE else None


def _steps(arrival: Arrival) -> Iterable[Step]:
    """A late event is flagged, and so is one that waits for a decision."""
    yield Step.VALIDATED
    yield Step.ENRICHED
    if arrival.fate is Fate.HELD or arrival.occurred < arrival.batch.late_before:
        yield Step.FLAGGED


def _shown(arrival: Arrival, step: Step, targets: Targets = ()) -> Shown:
    event, batch = arrival.event, arrival.batch
    units = [target.unit.name for target in targets if isinstance(target, Target)]
    is_settled = step in {Step.ENRICHED, Step.FLAGGED}
    return Shown(
        step.value,
        batch.batch_text,
        arrival.index,
        batch.source,
        batch.received_at,
        event.customerId,
        event.metricName,
        msgspec.Raw(arrival.quantity_text.encode()),
        arrival.key,
        arrival.occurred,
        event.sessionId,
        arrival.fate.name if is_settled else None,
        units or None if is_settled else None,
    )


def _refused(letter: Dead, opened: dict[int, list[msgspec.Raw]]) -> Shown:
    batch, why = letter.batch, letter.why
    shown = Shown(
        Step.REJECTED.value, batch.batch_text, letter.index, batch.source, batch.received_at
    )
    shown.code, shown.detail = why.code, why.detail
    if batch.id not in opened and len(opened) < MOST_BATCHES_OPENED:
        opened[batch.id] = events.split(batch.array)
    if batch.id in opened:
        event = events.decode_one(opened[batch.id][letter.index])
        if isinstance(event, events.Event):
            shown.customerId, shown.metricName = event.customerId, event.metricName
            shown.idempotencyKey, shown.sessionId = event.idempotencyKey, event.sessionId
    return shown
