"""Which session an event belongs to, and what a heartbeat says of it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from metering.ingest.events import HEARTBEAT, Event, Refusal
from metering.ingest.gates import MAX_TEXT


class Boundary(StrEnum):
    """What a heartbeat marks; any other word is taken for a plain heartbeat."""

    START = "SESSION_START"
    BEAT = "HEARTBEAT"
    END = "SESSION_END"


class _Metadata(msgspec.Struct):
    sessionId: Any = None  # noqa: N815 - the wire's spelling, here and below
    sessionBoundary: Any = None  # noqa: N815
    heartbeatType: Any = None  # noqa: N815
    productType: Any = None  # noqa: N815


_NOTHING = _Metadata()
_MARK = b'"sessionId"'
_decoder = msgspec.json.Decoder(_Metadata)


def session_of(event: Event) -> str | None:
    """The session's id as the client names it: a field, or in a heartbeat's metadata."""
    if event.metricName != HEARTBEAT:
        return event.sessionId or None
    return event.sessionId or _text(_metadata(event).sessionId)


def sessions_in(array: bytes, events: Iterable[Event | Refusal]) -> set[str]:
    """The sessions that the events of one request name; `array` is their JSON."""
    if _MARK not in array:  # nearly always: one scan in C
        return set()
    return {
        session
        for event in events
        if isinstance(event, Event)
        and (event.sessionId is not None or event.metricName == HEARTBEAT)
        and (session := session_of(event)) is not None
    }


def boundary_of(event: Event) -> Boundary:
    """Whether a heartbeat opens its session, keeps it alive or ends it."""
    metadata = _metadata(event)
    for word in (metadata.sessionBoundary, metadata.heartbeatType):
        if isinstance(word, str) and word in {Boundary.START, Boundary.END}:
            return Boundary(word)
    return Boundary.BEAT


def product_type_of(event: Event) -> str:
    """A heartbeat's product type, which SDKs put into its metadata; "" when it says none."""
    return event.productType or _text(_metadata(event).productType) or ""


def _metadata(event: Event) -> _Metadata:
    try:
        return _decoder.decode(event.metadata) if event.metadata else _NOTHING
    except (msgspec.MsgspecError, RecursionError):
        return _NOTHING


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None
