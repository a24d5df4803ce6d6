"""Rows pass the gates of the doors; a dry run also asks who would count them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from aforo.ids import new_id
from aforo.tenancy.models import Tenant
from catalog.selectors.contracts import units_of
from metering.ingest import arrivals, enrichment, events, gates
from metering.ingest.arrivals import Arrival
from metering.ingest.events import HEARTBEAT, Event, Refusal
from metering.ingest.inbox import Batch
from metering.ingest.normalising import Cover
from metering.ingest.opening import opened
from metering.ingest.own_customer import others_among
from metering.ingest.translation import Translation
from metering.uploads.chunks import Chunk

SOURCE, DOOR = "FILE", "/v1/ingest/upload"
OLDEST_BACKFILL = timedelta(days=3_653)  # ten years: one partition of events per month of it
TOO_OLD = Refusal("TIMESTAMP_TOO_OLD", "occurredAt is more than ten years ago")


@dataclass(frozen=True, slots=True)
class Checked:
    """A chunk as the inbox takes it: the events' JSON array, and by index what is refused.

    `occurred` are the first and the last time of what may pass, None when nothing may.
    """

    array: bytes
    refused: dict[int, Refusal]
    occurred: tuple[datetime, datetime] | None
    customer_id: UUID | None  # whose usage alone the file may bring


class Gates:
    """The gates as they stand for the rows of one file, judged by when the file arrived."""

    def __init__(
        self,
        tenant: Tenant,
        *,
        received_at: datetime,
        backfill: bool,
        customer_id: UUID | None = None,
    ) -> None:
        self._tenant = tenant
        self._received_at = received_at
        self._backfill = backfill
        self._cover = Cover(tenant.pk, customer_id=customer_id)
        self._metrics: frozenset[str] = frozenset()

    def check(self, chunk: Chunk) -> Checked:
        """Judge each row by itself, as a door does with each event."""
        given = Translation(events.join(chunk.events), chunk.bad)
        array, found = opened(given, self._cover)
        unknown = self._unknown_metrics(found)
        # Above all other reasons, as at the door.
        refused = others_among(found, self._tenant.pk, self._cover.customer_id)
        first = last = None
        for index, event in enumerate(found):
            if index in refused:
                continue
            why = event if isinstance(event, Refusal) else self._refusal(event, unknown)
            if why is not None:
                refused[index] = why
                continue
            occurred = event.occurred(self._received_at)  # type: ignore[union-attr]  # it passed
            first = occurred if first is None or occurred < first else first
            last = occurred if last is None or occurred > last else last
        span = (first, last) if first and last else None
        return Checked(array, refused, span, self._cover.customer_id)

    def rehearse(self, checked: Checked, count: int) -> dict[int, Refusal]:
        """What the drain would refuse besides, without counting anything."""
        batch = Batch(
            0, new_id(), self._tenant.pk, None, SOURCE, DOOR, self._received_at, self._received_at,
            count, checked.refused, checked.array, checked.customer_id,
        )  # fmt: skip
        passed = [one for one in arrivals.of_batch(batch) if isinstance(one, Arrival)]
        with transaction.atomic():
            _, dead, _ = enrichment.attach_contracts(passed) if passed else ((), (), ())
            transaction.set_rollback(True)  # a rehearsal leaves nothing
        return {letter.index: letter.why for letter in dead}

    def _refusal(self, event: Event, unknown: frozenset[str]) -> Refusal | None:
        why = gates.check_event(event, received_at=self._received_at)
        if why is not None and self._backfill and why.code == TOO_OLD.code:
            too_old = event.occurred(self._received_at) < self._received_at - OLDEST_BACKFILL
            why = TOO_OLD if too_old else None  # age is the last of these gates
        if why is None and event.metricName in unknown:
            return gates.unknown_metric(event.metricName)
        return why

    def _unknown_metrics(self, found: list[Event | Refusal]) -> frozenset[str]:
        """Names that no unit counts; when one is new, the catalog is asked again."""
        if self._tenant.unknown_metric != Tenant.UnknownMetric.REJECT:
            return frozenset()
        names = {event.metricName for event in found if isinstance(event, Event)} - {HEARTBEAT}
        if names - self._metrics:
            self._metrics = frozenset(unit.metric for unit in units_of(self._tenant.pk))
        return frozenset(names - self._metrics)
