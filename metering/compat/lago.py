"""Lago's events: `code` is the metric, `transaction_id` the key, `properties` the metadata."""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial

import msgspec

from metering.compat.quantities import ValueFields, quantity_of
from metering.compat.writing import (
    Fields,
    encoded,
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

# Whose subscriptions these are: id of a subscription -> external id of its customer.
Subscribers = Callable[[Collection[str]], Mapping[str, str]]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEPT = ("external_subscription_id", "precise_total_amount_cents")
_NO_OBJECT: dict[str, msgspec.Raw] = {}


def single(body: bytes, *, value_fields: ValueFields, subscribers: Subscribers) -> Translation:
    """`{"event": {...}}`; raises Unreadable (400)."""
    return _translation([sent_in(body, "event")], value_fields, subscribers)


def batch(body: bytes, *, value_fields: ValueFields, subscribers: Subscribers) -> Translation:
    """`{"events": [{...}, ...]}`; raises Unreadable (400) or TooLarge (413)."""
    return _translation(events.split(sent_in(body, "events")), value_fields, subscribers)


def _translation(
    raws: list[msgspec.Raw], value_fields: ValueFields, subscribers: Subscribers
) -> Translation:
    ids = {name for name in map(_subscription_in, raws) if _ID.fullmatch(name)}
    owners = subscribers(ids) if ids else {}
    return translation(raws, partial(_event, value_fields=value_fields, owners=owners))


def _subscription_in(raw: msgspec.Raw) -> str:
    fields = events.fields_of(raw)
    return "" if isinstance(fields, Refusal) else text_in(fields.get("external_subscription_id"))


def _event(
    fields: Fields, *, value_fields: ValueFields, owners: Mapping[str, str]
) -> dict[str, object] | Refusal:
    fields = present(fields)
    why = required(fields, "transaction_id", "code")
    if why is not None:
        return why
    subscription = text_in(fields.get("external_subscription_id"))
    customer = text_in(fields.get("external_customer_id")) or owners.get(subscription, subscription)
    if not customer:
        return Refusal("INVALID_EVENT", "external_subscription_id is missing or no text")
    properties = object_in(fields["properties"]) if "properties" in fields else _NO_OBJECT
    if properties is None:
        return Refusal("INVALID_EVENT", "properties must be an object")
    metric = text_in(fields["code"])
    quantity = quantity_of(metric, present(properties), value_fields)
    occurred = time_of(fields.get("timestamp"))
    why = first_refusal(quantity, occurred)
    if why is not None:
        return why
    kept = {name: fields[name] for name in _KEPT if name in fields}
    return {
        "customerId": customer,
        "metricName": metric,
        "quantity": quantity,
        "idempotencyKey": text_in(fields["transaction_id"]),
        "metadata": encoded(kept | properties),
        **({"occurredAt": occurred} if occurred else {}),
    }
