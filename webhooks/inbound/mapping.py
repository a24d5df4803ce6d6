"""From a payload to events: by the rules of its source, by its plain paths, or by our own names.

The fallback to our own names is what makes senders work whose source was registered with other
paths than those that their payloads have.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Self

import msgspec

from metering.ingest.events import Refusal
from metering.ingest.gates import MAX_METADATA_BYTES
from webhooks.inbound.paths import InvalidPath, Search, text_of
from webhooks.inbound.providers import PROVIDERS, Provider
from webhooks.inbound.rules import Rule, events_by, is_of, moment
from webhooks.inbound.walking import TooManyEvents, TooMuchWork

REMOVED = "[removed]"  # a credential, where a push is kept
NATIVE = ("customerId", "metricName", "quantity", "occurredAt")
_OF_EVENTS = frozenset({*NATIVE, "idempotencyKey", "metadata"})
_KEPT = frozenset({"productType", "sessionId", "agentId", "toolName", "traceId"})
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_CUSTOM = PROVIDERS["CUSTOM"]
Event = dict[str, object]


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


@dataclass(frozen=True, slots=True)
class Reading:
    """How the payloads of one source are read: with rules, its plain paths are not looked at."""

    source_id: str
    paths: Paths = field(default_factory=Paths)
    provider: Provider = _CUSTOM
    rules: tuple[Rule, ...] = ()
    event_filter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """What the headers of a push say of it; no signature covers them."""

    event_id: str = ""
    event_type: str = ""
    place: int | None = None  # of the payload in an array, of which the id is that of all

    def of(self, place: int, count: int) -> Self:
        """What they say of one of so many payloads; an array of one is that one."""
        return self if count == 1 else replace(self, place=place)


@dataclass(frozen=True, slots=True)
class Made:
    """What one payload makes: events, or why it cannot be mapped, or neither if it does not count.

    Of a payload all events count or none.
    """

    event_type: str
    events: tuple[Event, ...] = ()
    why: Refusal | None = None


def made_of(
    payload: object, reading: Reading, headers: Headers, search: Search | None = None
) -> Made:
    """What a payload makes. Types that the source filters out are not looked into.

    The payloads of one push share a `search`, and with it the work that may be done for them, and
    the events that they may make: one that makes none takes none from the others.
    """
    search = search or Search()
    left = search.events_left
    made = _judged(payload, reading, headers, search)
    if not made.events:
        search.events_left = left
    return made


def _judged(payload: object, reading: Reading, headers: Headers, search: Search) -> Made:
    kind = headers.event_type
    try:
        search.allowance.spend()
        kind = event_type(payload, reading, headers, search)
        if not is_of(kind, reading.event_filter):
            return Made(kind)
        if not isinstance(payload, Mapping):
            return Made(kind, why=Refusal("INVALID_EVENT", "the payload is no JSON object"))
        base = base_of(payload, reading, headers, search)
        if not base:
            return Made(kind, why=Refusal("MISSING_FIELD", _nameless(reading)))
        return _made(payload, kind, reading, base, search)
    except (InvalidPath, TooManyEvents, TooMuchWork) as error:
        return Made(kind, why=Refusal("INVALID_EVENT", str(error)))


def _nameless(reading: Reading) -> str:
    return f"it is not known by {reading.provider.needs_id}, and the signature names nothing else"


def _made(
    payload: Mapping[str, object], kind: str, reading: Reading, base: str, search: Search
) -> Made:
    if not reading.rules:
        search.make_event()
        event = mapped(payload, reading.paths, _key(payload, reading, base), search)
        return Made(kind, why=event) if isinstance(event, Refusal) else Made(kind, (event,))
    events: list[Event] = []
    metric = reading.paths.default_metric
    for rule in (one for one in reading.rules if is_of(kind, one.event_types)):
        for event in events_by(rule, payload, search, source_metric=metric):
            if isinstance(event, Refusal):
                return Made(kind, why=event)
            events.append(event)
    _give_keys(events, reading.source_id, base)
    return Made(kind, tuple(events))


def _give_keys(events: list[Event], source_id: str, base: str) -> None:
    """A key of its own for each, which stays the same when rules are added or change places."""
    seen: Counter[str] = Counter()
    for event in events:
        key = f"webhook:{source_id}:{event.get('idempotencyKey', base)}:{event['metricName']}"
        seen[key] += 1
        event["idempotencyKey"] = key if seen[key] == 1 else f"{key}:{seen[key]}"


def event_type(payload: object, reading: Reading, headers: Headers, search: Search) -> str:
    """What kind of event a payload says it is; "" when it does not."""
    kind = text_of(search.found(payload, reading.paths.event_type))
    if kind or not isinstance(payload, Mapping):
        return kind
    return reading.provider.event_type(payload, headers.event_type)


def mapped(
    payload: Mapping[str, object], paths: Paths, key: str, search: Search
) -> Event | Refusal:
    """The event at the plain paths of a payload, as the ingest routes take it."""

    def first(path: str, native: str) -> object | None:
        value = search.found(payload, path)
        return payload.get(native) if value is None else value

    customer = text_of(first(paths.customer_id, "customerId"))
    if not customer:
        where = paths.customer_id or "customerId"
        return Refusal("INVALID_EVENT", f"there is no customer at {where}")
    if customer == REMOVED:
        return Refusal("INVALID_EVENT", "the customer is named by a credential, which is not kept")
    metric = text_of(first(paths.metric, "metricName")) or paths.default_metric
    if not metric:
        where = paths.metric or "metricName"
        return Refusal("INVALID_EVENT", f"there is no metric at {where}, and the source has none")
    quantity = first(paths.quantity, "quantity")
    if quantity is None and paths.quantity:
        return Refusal("MISSING_FIELD", f"there is no quantity at {paths.quantity}")
    occurred = moment(first(paths.timestamp, "occurredAt"))
    return {
        "customerId": customer,
        "metricName": metric,
        "quantity": 1 if quantity is None else quantity,
        "idempotencyKey": key,
        **({} if occurred is None else {"occurredAt": occurred}),
        **{name: payload[name] for name in _KEPT if isinstance(payload.get(name), str)},
        **_metadata(payload),
    }


def _key(payload: Mapping[str, object], reading: Reading, base: str) -> str:
    """Our own key, or one of what makes a push the same."""
    own = payload.get("idempotencyKey")
    if isinstance(own, str) and own not in ("", REMOVED):
        return own
    return f"webhook:{reading.source_id}:{base}"


def base_of(
    payload: Mapping[str, object], reading: Reading, headers: Headers, search: Search
) -> str:
    """What makes a payload the same: the sender's id of the event, or all of its content.

    "" where it has no id and its content does not name it.
    """
    provider, event_id = reading.provider, text_of(search.found(payload, reading.paths.event_id))
    if headers.place is None:
        event_id = event_id or headers.event_id or provider.event_id(payload)
    else:
        event_id = event_id or provider.event_id(payload)
        event_id = event_id or (headers.event_id and f"{headers.event_id}:{headers.place}")
    if event_id or provider.needs_id:
        return event_id
    return blake2b(_encoder.encode(payload), digest_size=16).hexdigest()


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
