"""The spellings of an event: what senders call its fields, and what follows from the rest of it.

A name of theirs counts only where ours is absent or null, so everybody may use ours everywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from metering.ingest.events import HEARTBEAT, Fields, fields_of
from metering.ingest.gates import MAX_TEXT

NULL = msgspec.Raw(b"null")

_EVERYWHERE = {
    "customer_id": "customerId",
    "metricKey": "metricName",
    "metric_id": "metricName",
    "metric_name": "metricName",
    "value": "quantity",
    "timestamp": "occurredAt",
    "occurred_at": "occurredAt",
    "idempotency_key": "idempotencyKey",
    "product_type": "productType",
}
# These stay where they were as well: conditions and prices by dimension ask for them there.
_COPIED = {
    "session_id": "sessionId",
    "agent_id": "agentId",
    "tool_name": "toolName",
    "trace_id": "traceId",
}
_IN_AGENTS_KEY = ("agentId", "sessionId", "metricName", "occurredAt", "quantity", "metadata")
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_HEARTBEAT = msgspec.Raw(b'"' + HEARTBEAT.encode() + b'"')
_ONE = msgspec.Raw(b"1")


@dataclass(frozen=True, slots=True)
class Envelope:
    """How events are spelled at one door: which names `stand_for` which field of ours.

    Where two stand for the same field, the first one that is sent counts.
    """

    stand_for: Mapping[str, str]
    counts_one: bool = False  # an absent quantity is 1
    names: frozenset[str] = field(init=False)  # all that mean anything: few events have one

    def __post_init__(self) -> None:
        names = frozenset({"properties", "trace", *_COPIED, *self.stand_for})
        object.__setattr__(self, "names", names)


NATIVE = Envelope(_EVERYWHERE)
EVENTS = Envelope({"event": "metricName"} | _EVERYWHERE, counts_one=True)
METER = Envelope(_EVERYWHERE | {"tenantId": "customerId"})  # a tenant of the caller's own


def respell(known: Fields, extra: Fields, envelope: Envelope) -> None:
    """Move what `extra` fields say under other names to the `known` ones, both in place."""
    if envelope.names.isdisjoint(extra):
        return
    is_agents = "eventType" in extra and "metricKey" in extra
    if "properties" in extra and not has(known, "metadata"):
        known["metadata"] = extra.pop("properties")
        _copy(known, _inside(known["metadata"]))
    for name, ours in envelope.stand_for.items():
        if name in extra and not has(known, ours):
            known[ours] = extra.pop(name)
    _copy(known, extra)
    if "trace" in extra and not has(known, "traceId"):
        _take_trace(known, _inside(extra["trace"]))
    if is_agents and has(known, "occurredAt") and not has(known, "idempotencyKey"):
        known["idempotencyKey"] = _agents_key(known, extra["eventType"])


def complete(known: Fields, envelope: Envelope) -> None:
    """Add to `known` fields what follows from others: a quantity of 1, a heartbeat's session."""
    if envelope.counts_one and not has(known, "quantity"):
        known["quantity"] = _ONE
    if known.get("metricName") == _HEARTBEAT and not has(known, "sessionId"):
        session = _inside(known.get("metadata", NULL)).get("sessionId", NULL)
        if _is_short_text(session):
            known["sessionId"] = session


def trace_of(traceparent: str | None, trace_id: str | None) -> str | None:
    """The trace that two headers name: the id inside a W3C `traceparent`, else `x-trace-id`."""
    match = _TRACE_PARENT.fullmatch(traceparent) if traceparent else None
    if match:
        return match[1]
    return trace_id if trace_id and len(trace_id) <= MAX_TEXT else None


def has(fields: Fields, name: str) -> bool:
    """Whether a field is there and not null."""
    return fields.get(name, NULL) != NULL


def _inside(raw: msgspec.Raw) -> Fields:
    """The members of a JSON object; none of anything else."""
    inner = fields_of(raw)
    return inner if isinstance(inner, dict) else {}


def _is_short_text(raw: msgspec.Raw) -> bool:
    text = bytes(raw)
    return text.startswith(b'"') and text != b'""' and len(text) <= MAX_TEXT


def _copy(known: Fields, others: Fields) -> None:
    for name, ours in _COPIED.items():
        if name in others and not has(known, ours) and _is_short_text(others[name]):
            known[ours] = others[name]


def _take_trace(known: Fields, trace: Fields) -> None:
    """What a gateway tells of the headers of the request that it counted."""
    traceparent, trace_id = (
        msgspec.json.decode(trace[name]) if _is_short_text(trace.get(name, NULL)) else None
        for name in ("traceparent", "xTraceId")
    )
    found = trace_of(traceparent, trace_id)
    if found is not None:
        known["traceId"] = msgspec.Raw(msgspec.json.encode(found))


def _agents_key(known: Fields, event_type: msgspec.Raw) -> msgspec.Raw:
    """The key of an agent's event that came without: the same for the same event sent again."""
    said = [event_type, *(known.get(name, NULL) for name in _IN_AGENTS_KEY)]
    digest = blake2b(msgspec.json.encode(said), digest_size=16).hexdigest()
    return msgspec.Raw(b'"agent:%b"' % digest.encode())
