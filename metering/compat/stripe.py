"""Stripe's meter events: `event_name` is the metric, `identifier` the key, the payload metadata."""

import re
from functools import partial
from urllib.parse import parse_qsl

import msgspec

from aforo.errors import Unreadable
from metering.compat.quantities import ValueFields, quantity_of
from metering.compat.writing import (
    Fields,
    encoded,
    fields_of_body,
    first_refusal,
    object_in,
    present,
    required,
    sent_in,
    text_in,
    time_of,
    translation,
)
from metering.ingest import events
from metering.ingest.events import Refusal
from metering.ingest.translation import Translation

CUSTOMER = "stripe_customer_id"
MAX_FIELDS = 1_000
_PAYLOAD = re.compile(r"payload\[([^\[\]]+)\]")


def form(body: bytes, *, value_fields: ValueFields) -> Translation:
    """One event as v1 sends it, form encoded; raises Unreadable (400)."""
    return translation([form_in(body)], partial(_event, value_fields=value_fields))


def single(body: bytes, *, value_fields: ValueFields) -> Translation:
    """One event as v2 sends it, a JSON object; raises Unreadable (400)."""
    fields_of_body(body)
    return translation([body.strip()], partial(_event, value_fields=value_fields))


def stream(body: bytes, *, value_fields: ValueFields) -> Translation:
    """`{"events": [...]}` of v2's stream; raises Unreadable (400) or TooLarge (413)."""
    raws = events.split(sent_in(body, "events"))
    return translation(raws, partial(_event, value_fields=value_fields))


def form_in(body: bytes) -> bytes:
    """A form as the JSON object that v2 would send."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise Unreadable(f"the body is no form: {error}", code="MALFORMED_FORM") from None
    if not pairs:
        raise Unreadable("the body is empty", code="EMPTY_BODY")
    payload: dict[str, str] = {}
    whole: dict[str, object] = {}
    for name, value in pairs:
        inner = _PAYLOAD.fullmatch(name)
        if inner is None:
            whole[name] = value
        else:
            payload[inner[1]] = value
    return msgspec.json.encode(whole | {"payload": payload})


def _event(fields: Fields, *, value_fields: ValueFields) -> dict[str, object] | Refusal:
    fields = present(fields)
    why = required(fields, "event_name")
    payload = object_in(fields.get("payload"))
    if why is not None or payload is None:
        return why or Refusal("INVALID_EVENT", "payload is missing or no object")
    customer = text_in(payload.get(CUSTOMER))
    if not customer:
        return Refusal("INVALID_EVENT", f"payload[{CUSTOMER}] is missing")
    metric = text_in(fields["event_name"])
    quantity = quantity_of(metric, present(payload), value_fields)
    occurred = time_of(fields.get("timestamp"))
    why = first_refusal(quantity, occurred)
    if why is not None:
        return why
    key = text_in(fields.get("identifier"))
    return {
        "customerId": customer,
        "metricName": metric,
        "quantity": quantity,
        "metadata": encoded(payload),
        **({"idempotencyKey": key} if key else {}),
        **({"occurredAt": occurred} if occurred else {}),
    }
