"""Making events of a push that is kept: once, however often it is tried."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import lz4.frame
import msgspec
from django.db import transaction

from aforo.api import parsers
from aforo.ids import new_id
from catalog import aliases
from metering.ingest import events, gates, inbox, wake
from metering.ingest.events import Event, Refusal
from metering.ingest.normalising import Cover
from metering.ingest.opening import opened
from metering.ingest.translation import Translation
from webhooks.inbound import memory
from webhooks.inbound.mapping import Headers, Made, made_of
from webhooks.inbound.paths import Search
from webhooks.models import WebhookDelivery
from webhooks.services.pushes import Verdict, brief
from webhooks.services.readings import reading_of, rules_of

SOURCE = "WEBHOOK"
_encoder = msgspec.json.Encoder(decimal_format="number")


@transaction.atomic
def map_delivery(*, delivery_id: UUID, now: datetime) -> Verdict | None:
    """Put the events of a kept push into the inbox; None when that is done or being done.

    Events, verdict and all are one transaction: a worker that is killed leaves a push that still
    waits, and the ledger sees to it that no event counts twice. What cannot be mapped is parked,
    payload by payload. `now` is on everybody's clock.
    """
    delivery = _claimed(delivery_id)
    if delivery is None:
        return None
    made = made_of_delivery(delivery)
    had_counted = bool(delivery.event_count) and not delivery.parked
    raws = [_encoder.encode(event) for one in made.values() for event in one.events]
    if raws:
        _count(delivery, events=len(raws), refused=_put(delivery, raws))
        keys = [str(event["idempotencyKey"]) for one in made.values() for event in one.events]
        delivery.event_key = delivery.event_key or _shown(keys[0], delivery.tenant_id)
    _judge(delivery, made, has_events=bool(raws))
    if had_counted:  # all of it: the next time it is all of it again, and nothing on top
        delivery.parked = []
    if delivery.source.event_type_path and len(made) == 1:
        delivery.event_type = next(iter(made.values())).event_type[:400]
    delivery.mapped_at = now
    delivery.save(update_fields=_OUTCOME)
    if delivery.verdict == Verdict.ACCEPTED:
        names = [_name(delivery)]
        transaction.on_commit(lambda: memory.remember(names), robust=True)
    return Verdict(delivery.verdict)


_OUTCOME = [
    "verdict", "detail", "event_key", "event_count", "refused_count", "batch_id",
    "later_batches", "parked", "mapped_at", "event_type",
]  # fmt: skip


def _claimed(delivery_id: UUID) -> WebhookDelivery | None:
    """The push, if it waits and nobody else has it in hand."""
    deliveries = WebhookDelivery.objects.filter(pk=delivery_id)  # any tenant: our own id
    unheld = deliveries.select_for_update(skip_locked=True, of=("self",))
    waiting = unheld.select_related("source", "tenant").filter(verdict=Verdict.RECEIVED)
    found: WebhookDelivery | None = waiting.first()
    return found


def made_of_delivery(delivery: WebhookDelivery) -> dict[int, Made]:
    """What each payload of a push makes now, by its place; of a parked one, what is parked.

    Of what is parked the smallest come first: what takes all the work allowed stops no other again.
    """
    reading = reading_of(delivery.source, rules_of(delivery.source))
    said = Headers(event_id=delivery.provider_key, event_type=delivery.event_type)
    payloads = payloads_of(delivery)
    places, search = range(len(payloads)), Search()
    parked = sorted(delivery.parked, key=lambda place: len(_encoder.encode(payloads[place])))
    made = {
        place: made_of(payloads[place], reading, said.of(place, len(payloads)), search)
        for place in parked or places
    }
    return dict(sorted(made.items()))


def payloads_of(delivery: WebhookDelivery) -> list[object]:
    """One payload, or each of an array."""
    value = parsers.decode(lz4.frame.decompress(bytes(delivery.payload)))
    return value if isinstance(value, list) else [value]


def _count(delivery: WebhookDelivery, *, events: int, refused: int) -> None:
    """Note how many there are: what was parked comes on top, the whole once more does not."""
    if delivery.parked:
        delivery.event_count += events
        delivery.refused_count += refused
    else:
        delivery.event_count = max(delivery.event_count, events)
        delivery.refused_count = max(delivery.refused_count, refused)


def _put(delivery: WebhookDelivery, raws: list[bytes]) -> int:
    """Into the inbox, as of the moment that the push came; how many the gates refuse.

    Each time is a batch of its own, and the push keeps all of them: events lead back by theirs.
    """
    array, arrivals = opened(Translation(events.join(raws), {}), Cover(delivery.tenant_id))
    received_at = delivery.received_at or delivery.arrived_at
    refused = _refusals(arrivals, received_at)
    batch_id = new_id()
    if delivery.batch_id is None:
        delivery.batch_id = batch_id
    else:
        delivery.later_batches = [*delivery.later_batches, batch_id]
    inbox.put(
        batch_id=batch_id,
        tenant_id=delivery.tenant_id,
        source=SOURCE,
        door=f"/v1/ingest/webhook/{delivery.source_id}",
        received_at=received_at,
        event_count=len(raws),
        refused=refused,
        array=array,
    )
    wake.after_commit(delivery.tenant_id)
    return len(refused)


def _refusals(arrivals: list[Event | Refusal], received_at: datetime) -> dict[int, Refusal]:
    """What the door's gates say; whether anybody counts the metric, the drain finds out."""
    refused = {}
    for index, event in enumerate(arrivals):
        why: Event | Refusal | None = event
        if isinstance(event, Event):
            why = gates.check_event(event, received_at=received_at)
        if isinstance(why, Refusal):
            refused[index] = why
    return refused


def _judge(delivery: WebhookDelivery, made: Mapping[int, Made], *, has_events: bool) -> None:
    """Write what became of a push; one payload that cannot be mapped parks itself alone."""
    flaws = {place: one.why for place, one in made.items() if one.why is not None}
    delivery.parked, delivery.detail = sorted(flaws), ""
    if flaws:
        first = min(flaws)
        which = f"payload {first + 1} of {len(made)}: " if len(made) > 1 else ""
        delivery.verdict, delivery.detail = Verdict.UNMAPPED, brief(which + flaws[first].detail)
    else:
        counts = has_events or delivery.event_count
        delivery.verdict = Verdict.ACCEPTED if counts else Verdict.FILTERED


def _name(delivery: WebhookDelivery) -> str:
    document = lz4.frame.decompress(bytes(delivery.payload))
    return memory.name_of(delivery.source_id, document, delivery.provider_key)


def _shown(key: str, tenant_id: UUID) -> str:
    """A key that is an API key by its looks is known by its hash alone, as in the ledger."""
    if not aliases.is_secret(key):
        return key[: gates.MAX_KEY]  # a longer one is refused
    return aliases.stand_in(aliases.digest_of(tenant_id, key))
