"""CloudEvents 1.0 over HTTP: structured, batched and binary, and what OpenMeter makes of them.

`type` is the metric, `subject` the customer, `time` when it happened, `source` and `id` together
the key. Data and extensions become metadata.
"""

import base64
from collections.abc import Mapping
from functools import partial
from typing import cast
from urllib.parse import unquote

import msgspec

from aforo.errors import Unreadable
from metering.compat.quantities import ValueFields, quantity_of
from metering.compat.writing import (
    Fields,
    encoded,
    object_in,
    present,
    required,
    text_in,
    translation,
)
from metering.ingest import events
from metering.ingest.events import Refusal
from metering.ingest.translation import Translate, Translation

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
_HEADER = "ce-"
_VERSION = "ce-specversion"
_OWN = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "data", "data_base64"}
    | {"datacontenttype"}
)


def is_spoken(content_type: str, headers: Mapping[str, str]) -> bool:
    """Whether a request carries CloudEvents; `headers` finds names however they are spelled."""
    return content_type.startswith("application/cloudevents") or _VERSION in headers


def translator(
    content_type: str, headers: Mapping[str, str], value_fields: ValueFields
) -> Translate:
    """What makes our events of the body of a request that `is_spoken`."""
    if content_type.startswith("application/cloudevents"):
        return partial(structured, value_fields=value_fields)
    attributes = {
        name.lower().removeprefix(_HEADER): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_HEADER)
    }
    return partial(
        binary, attributes=attributes, content_type=content_type, value_fields=value_fields
    )


def structured(body: bytes, *, value_fields: ValueFields) -> Translation:
    """One event, or an array of them; raises Unreadable (400) or TooLarge (413)."""
    stripped = body.strip()
    array = events.event_array(b"[" + stripped + b"]" if stripped.startswith(b"{") else stripped)
    return translation(events.split(array), partial(_event, value_fields=value_fields))


def binary(
    body: bytes,
    *,
    attributes: Mapping[str, str],
    content_type: str,
    value_fields: ValueFields,
) -> Translation:
    """One event whose attributes were headers and whose data is the body."""
    whole: dict[str, object] = dict(attributes)
    if body:
        whole |= _data(body, content_type)
    raw = msgspec.json.encode(whole)
    return translation([raw], partial(_event, value_fields=value_fields))


def _data(body: bytes, content_type: str) -> dict[str, object]:
    is_json = not content_type or content_type == "application/json" or "+json" in content_type
    if is_json:
        raws = events.split(events.event_array(b"[" + body + b"]"))
        if len(raws) != 1:
            raise Unreadable("the data is not one JSON value", code="MALFORMED_JSON")
        return {"data": raws[0]}
    try:
        return {"data": body.decode(), "datacontenttype": content_type}
    except UnicodeDecodeError:
        data = base64.b64encode(body).decode()
        return {"data_base64": data, "datacontenttype": content_type}


def _event(fields: Fields, *, value_fields: ValueFields) -> dict[str, object] | Refusal:
    fields = present(fields)
    why = required(fields, "specversion", "id", "source", "type", "subject")
    if why is not None:
        return why
    version = text_in(fields["specversion"])
    if not version.startswith("1."):
        return Refusal("INVALID_EVENT", f"specversion {version[:20]!r} is not understood, 1.0 is")
    data = object_in(fields.get("data"))
    metric = text_in(fields["type"])
    quantity = quantity_of(metric, present(data or {}), value_fields)
    if isinstance(quantity, Refusal):
        return quantity
    return {
        "customerId": text_in(fields["subject"]),
        "metricName": metric,
        "quantity": quantity,
        "idempotencyKey": key_of(text_in(fields["source"]), text_in(fields["id"])),
        "metadata": _metadata(fields, data),
        **({"occurredAt": fields["time"]} if "time" in fields else {}),
    }


def key_of(source: str, event_id: str) -> str:
    """The two together are what CloudEvents calls unique. A URI holds no blank, so neither is lost.

    A source that does hold one is taken for the URI that it was meant to be.
    """
    return f"{source.replace(' ', '%20')} {event_id}"


def _metadata(fields: Fields, data: Mapping[str, msgspec.Raw] | None) -> msgspec.Raw:
    extensions = {name: raw for name, raw in fields.items() if name not in _OWN}
    if data is not None:
        return encoded(extensions | cast(dict[str, msgspec.Raw], data))
    bare = {name: fields[name] for name in ("data", "data_base64") if name in fields}
    return encoded(extensions | bare)
