"""Totals counted again from raw bodies: read, judged by key and routed as the drain does it.

Bodies are walked in the order in which they were drained. What the receipts say was refused stays
refused; all else is done again, under the contracts as they are now. Keys that were seen are kept
in a table of the session, so that memory does not grow with the events.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import lz4.frame
from django.db.models import Max, Min

from aforo.money import EXACT, ZERO, plain
from aforo.tenancy.models import Tenant
from catalog.models import SubscriptionPeriod
from catalog.pricing import Usage
from metering.aggregation import ESTIMATED
from metering.counted_values import value_hash
from metering.ingest import arrivals, enrichment
from metering.ingest.arrivals import Arrival
from metering.ingest.connection import hot_cursor
from metering.ingest.gates import MAX_AGE, MAX_FUTURE
from metering.ingest.inbox import Batch
from metering.ingest.kept import placed
from metering.ingest.routing import EVER
from metering.ingest.targets import Target, fields_of
from metering.models import HeldEvent, RawPayload, Receipt, UsageEvent
from metering.recount.levels import Counted, Level
from metering.recount.scope import Recounted

EVENTS_AT_A_TIME = 20_000  # as many as a drain merges
REPEATED_WITHIN = MAX_AGE  # repeats of events without a time of their own count when first sent
_SEEN = (
    "CREATE TEMP TABLE IF NOT EXISTS recounted_keys (k uuid PRIMARY KEY) ON COMMIT DROP",
    "TRUNCATE recounted_keys",
)
_NEW = """
    INSERT INTO recounted_keys SELECT * FROM unnest(%s::uuid[]) ON CONFLICT DO NOTHING RETURNING k
"""
TotalKey = tuple[UUID, UUID, UUID, str]  # period, plan version, unit, dimension
Place = tuple[UUID, int]  # batch, and index in it


@dataclass(slots=True)
class Sent:
    """What raw bodies come to, by total. `misses_bodies`: some are not kept any more."""

    levels: dict[TotalKey, Level] = field(default_factory=dict)
    misses_bodies: bool = True

    def is_whole_for(self, sources: Collection[str]) -> bool:
        """Whether all events of a total with such sources have bodies: amended ones never had."""
        return not self.misses_bodies and "AMEND" not in sources

    def differences(self, recounted: Recounted) -> Iterator[tuple[str, str, str]]:
        """Where the total says something else than the bodies."""
        total, level = recounted.total, self.levels[_key_of(recounted)]
        pairs = [("count from raw bodies", str(total.event_count), str(level.count))]
        if recounted.unit.aggregation not in ESTIMATED:  # which follow from positions
            pairs = [
                ("quantity from raw bodies", plain(total.quantity), plain(level.quantity)),
                *pairs,
                *_revenue(recounted, level),
            ]
        yield from (pair for pair in pairs if pair[1] != pair[2])


def _revenue(recounted: Recounted, level: Level) -> Iterator[tuple[str, str, str]]:
    """What the events of a total that nothing adjusted have added to its price."""
    if recounted.adjustments or recounted.may_have_moved:
        return
    terms = recounted.terms
    added = EXACT.subtract(terms.charge(level.usage), terms.charge(Usage(ZERO)))
    yield "revenue from raw bodies", plain(recounted.total.revenue), plain(added)


def count_sent(tenant: Tenant, totals: Iterable[Recounted]) -> Sent:
    """Count all raw bodies of the tenant that may hold events of these totals."""
    sent = Sent(misses_bodies=False)
    apart: dict[TotalKey, set[Place]] = {}
    for one in totals:
        key = _key_of(one)
        level = Level(one.unit.aggregation, remembers=False, terms=one.terms, span=one.span)
        level.begin_with(one.total.carried, one.carried_values)
        sent.levels[key] = level
        apart[key] = _not_counted(one)
    with hot_cursor() as cursor:
        for statement in _SEEN:
            cursor.execute(statement)
    start, end = _span(tenant, {period for period, *_ in sent.levels})
    for receipts in _pages(tenant, since=start - MAX_FUTURE - REPEATED_WITHIN):
        found, missed_at = _fresh(tenant, receipts)
        if missed_at is not None and missed_at >= start - MAX_FUTURE:
            sent.misses_bodies = True
        inside = [arrival for arrival in found if start <= arrival.occurred < end]
        _add(inside, sent.levels, apart)
    return sent


def _key_of(one: Recounted) -> TotalKey:
    total = one.total
    return (total.period_id, total.plan_version_id, total.unit_id, total.dimension)


def _not_counted(one: Recounted) -> set[Place]:
    """Events that the total does not count, though they were sent: held ones, taken back ones."""
    held = HeldEvent.objects.filter(running_total_id=one.total.pk).exclude(  # any tenant: by total
        status=HeldEvent.Status.ACCEPTED
    )
    places = set(held.values_list("batch_id", "batch_index"))
    if one.voided:
        events = UsageEvent.objects.filter(  # any tenant: likewise
            running_total_id=one.total.pk, position__in=list(one.voided)
        )
        places |= set(events.values_list("batch_id", "batch_index"))
    return places


def _span(tenant: Tenant, period_ids: set[UUID]) -> tuple[datetime, datetime]:
    periods = SubscriptionPeriod.objects.for_tenant(tenant).filter(pk__in=period_ids)
    ends = periods.aggregate(start=Min("start_at"), end=Max("end_at"))
    nothing = EVER[1]
    return ends["start"] or nothing - REPEATED_WITHIN - MAX_FUTURE, ends["end"] or nothing


def _pages(tenant: Tenant, *, since: datetime) -> Iterator[list[Receipt]]:
    """Receipts in the order of their drains, as many as hold some thousand events."""
    own = Receipt.objects.filter(tenant_id=tenant.pk, received_at__gte=since)  # any tenant: by id
    page: list[Receipt] = []
    for receipt in own.order_by("drained_at", "batch_id").iterator():
        page.append(receipt)
        if sum(one.event_count for one in page) >= EVENTS_AT_A_TIME:
            yield page
            page = []
    if page:
        yield page


def _fresh(tenant: Tenant, receipts: Sequence[Receipt]) -> tuple[list[Arrival], datetime | None]:
    """The events of these batches that were not refused, each key the first time it is seen.

    And when the latest body was received that is not kept any more, if one is not.
    """
    ids = [receipt.batch_id for receipt in receipts]
    rows = RawPayload.objects.filter(tenant_id=tenant.pk, batch_id__in=ids)  # any tenant: by id
    bodies = dict(rows.values_list("batch_id", "body"))
    missed = [one.received_at for one in receipts if one.batch_id not in bodies]
    found = [
        arrival
        for one in receipts
        if one.batch_id in bodies
        for arrival in _arrivals(one, bytes(bodies[one.batch_id]))
    ]
    new = _new_keys(found)
    first: dict[bytes, Arrival] = {}
    for arrival in found:
        if arrival.k in new:
            first.setdefault(arrival.k, arrival)
    return list(first.values()), max(missed, default=None)


def _arrivals(receipt: Receipt, body: bytes) -> Iterator[Arrival]:
    batch = Batch(
        0,
        receipt.batch_id,
        receipt.tenant_id,
        receipt.api_key_id,
        receipt.source,
        receipt.door,
        receipt.received_at,
        receipt.arrived_at,
        receipt.event_count,
        {},
        lz4.frame.decompress(body),
    )
    refused = {index for index, _ in receipt.refusals or ()}
    events = arrivals.decoded(batch)
    taken = [index for index in range(len(events)) if index not in refused]
    for arrival in arrivals.of_events(batch, events, taken):
        if isinstance(arrival, Arrival):
            yield arrival


def _new_keys(found: Sequence[Arrival]) -> set[bytes]:
    keys = [UUID(bytes=arrival.k) for arrival in found]
    with hot_cursor() as cursor:
        return {k.bytes for (k,) in cursor.execute(_NEW, (keys,))}


def _add(
    found: Sequence[Arrival], levels: dict[TotalKey, Level], apart: dict[TotalKey, set[Place]]
) -> None:
    if not found:
        return
    routed, _, _ = enrichment.attach_contracts(found)
    for arrival, targets in routed:
        place = (arrival.batch.batch_id, arrival.index)
        for target in targets:
            if not isinstance(target, Target):
                continue
            unit_id, dimension = target.unit.unit_id, target.dimension
            key = (target.period_id, target.version_id, unit_id, dimension)
            if key in levels and place not in apart[key]:
                levels[key].add(_counted(arrival, target))


def _counted(arrival: Arrival, target: Target) -> Counted:
    moment, key, quantity = placed(arrival)
    fields = fields_of(arrival) if target.looks_inside else {}
    name = target.unique_field
    value = None if name is None else value_hash(fields[name])
    return Counted(quantity, value, moment, key, fields)
