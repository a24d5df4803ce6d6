"""Keys of events that came without one: of the fields that their billable unit names for it."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from aforo.money import plain
from metering.counted_values import UnreadableMetadata
from metering.counted_values import fields_of as fields_in
from metering.ingest import events
from metering.ingest.events import Event, Refusal

_encode = msgspec.json.Encoder(decimal_format="number").encode


def with_keys(
    array: bytes, arrivals: Sequence[Event | Refusal], fields: Mapping[str, Sequence[str]]
) -> tuple[bytes, list[Event | Refusal], dict[int, str]]:
    """The array to store, its events, and the keys that were made, by index.

    `fields` names by metric what a key is made of. An event that lacks one of them stays without.
    """
    made = {
        index: key
        for index, event in enumerate(arrivals)
        if isinstance(event, Event)
        and event.idempotencyKey is None
        and (key := _key_of(event, fields.get(event.metricName, ()))) is not None
    }
    if not made:
        return array, list(arrivals), {}
    keyed = list(arrivals)
    raws = [bytes(raw) for raw in events.split(array)]
    for index, key in made.items():
        event = keyed[index]
        assert isinstance(event, Event)  # noqa: S101 - keys were made of no others
        keyed[index] = with_key = msgspec.structs.replace(event, idempotencyKey=key)
        raws[index] = _encode(with_key)
    return events.join(raws), keyed, made


def _key_of(event: Event, names: Sequence[str]) -> str | None:
    """The same for events that agree in customer, metric and every named field."""
    if not names:
        return None
    try:
        fields = fields_in(event.metadata_text(), _own(event))
    except UnreadableMetadata:
        return None
    values = [fields.get(name) for name in names]
    if any(value is None for value in values):
        return None
    content = msgspec.json.encode([event.customerId, event.metricName, *map(str, values)])
    return f"fields:{blake2b(content, digest_size=16).hexdigest()}"


def _own(event: Event) -> dict[str, object]:
    """The event's own fields, as they may be named beside those of its metadata."""
    moment = event.occurredAt
    return {
        "quantity": plain(event.quantity),
        "occurredAt": None if moment is None else str(moment),
        "sessionId": event.sessionId,
        "agentId": event.agentId,
        "toolName": event.toolName,
        "traceId": event.traceId,
    }
