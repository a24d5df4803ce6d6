"""Finds the fields of an event in a payload: by JSONPath, else under our own names.

The fallback is what makes senders work whose source was registered with other paths than those
that their payloads have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse

from metering.ingest.events import Refusal
from metering.ingest.gates import MAX_METADATA_BYTES

NATIVE = ("customerId", "metricName", "quantity", "occurredAt")
_OF_EVENTS = frozenset({*NATIVE, "idempotencyKey", "metadata"})
_KEPT = frozenset({"productType", "sessionId", "agentId", "toolName", "traceId"})
_SECONDS_END = 100_000_000_000  # smaller numbers are seconds since 1970, larger ones milliseconds
_TYPES = ("type", "event", "eventType", "event_type")
_IDS = ("id", "eventId", "event_id")
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class InvalidPath(ValueError):
    """This is no JSONPath."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one source's payloads have what; empty: nowhere but under our own names."""

    customer_id: str = ""
    metric: str = ""
    quantity: str = ""
    timestamp: str = ""
    event_id: str = ""
    event_type: str = ""
    default_metric: str = ""


@lru_cache(maxsize=10_000)
def compiled(path: str) -> Any:
    """A JSONPath, parsed once per process; raises InvalidPath."""
    try:
        return parse(path)
    except JSONPathError as error:
        raise InvalidPath(f"{path!r} is no JSONPath: {error}") from None


def found(payload: object, path: str) -> object | None:
    """The first thing at `path`; None when there is nothing, or null."""
    if not path:
        return None
    return next((match.value for match in compiled(path).find(payload)), None)


def event_type(payload: object, paths: Paths) -> str:
    """What kind of event a payload says it is; "" when it does not."""
    kind = found(payload, paths.event_type)
    if kind is None and isinstance(payload, Mapping):
        kind = next((payload[name] for name in _TYPES if payload.get(name) is not None), None)
    return str(kind) if isinstance(kind, str | int) else ""


def mapped(
    payload: object, paths: Paths, *, source_id: str, header_id: str
) -> dict[str, object] | Refusal:
    """The event in a payload, as the ingest routes take it, always with a key."""
    if not isinstance(payload, Mapping):
        return Refusal("INVALID_EVENT", "the payload is no JSON object")
    customer = _text(_first(payload, paths.customer_id, "customerId"))
    if not customer:
        where = paths.customer_id or "customerId"
        return Refusal("INVALID_EVENT", f"there is no customer at {where}")
    metric = _text(_first(payload, paths.metric, "metricName")) or paths.default_metric
    if not metric:
        where = paths.metric or "metricName"
        return Refusal("INVALID_EVENT", f"there is no metric at {where}, and the source has none")
    quantity = _first(payload, paths.quantity, "quantity")
    if quantity is None and paths.quantity:
        return Refusal("MISSING_FIELD", f"there is no quantity at {paths.quantity}")
    occurred = _time(_first(payload, paths.timestamp, "occurredAt"))
    return {
        "customerId": customer,
        "metricName": metric,
        "quantity": 1 if quantity is None else quantity,
        "idempotencyKey": key_of(payload, paths, source_id=source_id, header_id=header_id),
        **({} if occurred is None else {"occurredAt": occurred}),
        **{name: payload[name] for name in _KEPT if isinstance(payload.get(name), str)},
        **_metadata(payload),
    }


def key_of(payload: Mapping[str, object], paths: Paths, *, source_id: str, header_id: str) -> str:
    """What makes a push the same: our own key, the provider's event id, or all of its content."""
    own = payload.get("idempotencyKey")
    if isinstance(own, str) and own:
        return own
    event_id = _text(found(payload, paths.event_id)) or header_id
    if not event_id:
        event_id = next(filter(None, (_text(payload.get(name)) for name in _IDS)), "")
    if not event_id:
        event_id = blake2b(_encoder.encode(payload), digest_size=16).hexdigest()
    return f"webhook:{source_id}:{event_id}"


def _first(payload: Mapping[str, object], path: str, native: str) -> object | None:
    value = found(payload, path)
    return payload.get(native) if value is None else value


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    return str(value)


def _time(value: Any) -> object | None:
    """Seconds become milliseconds, which is what a number means on the wire."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:  # noqa: PLR2004  # no time is longer
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value
    is_seconds = -_SECONDS_END < value < _SECONDS_END
    return value * 1000 if is_seconds else value


def _metadata(payload: Mapping[str, object]) -> dict[str, object]:
    """Plain members of the payload and of its `metadata`; nothing when they are too many.

    The whole payload is kept with its delivery.
    """
    own = payload.get("metadata")
    plain = {
        name: value
        for name, value in payload.items()
        if name not in _OF_EVENTS | _KEPT and isinstance(value, str | int | Decimal | bool)
    }
    members = plain | (dict(own) if isinstance(own, Mapping) else {})
    is_small = len(_encoder.encode(members)) <= MAX_METADATA_BYTES
    return {"metadata": members} if members and is_small else {}
