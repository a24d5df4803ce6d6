"""The event as it comes over the wire, and how a body becomes a list of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from aforo.errors import TooLarge, Unreadable

MAX_EVENTS = 10_000
HEARTBEAT = "system.session.heartbeat"
SESSION_SUMMARY = "system.session.summary"  # one per session, sent by ourselves at its end
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = (b"", b"null")


Fields = dict[str, msgspec.Raw]  # the members of a JSON object, undecoded


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One usage event. Its fields are spelled as on the wire."""

    customerId: str  # noqa: N815 - the wire's spelling, here and below
    metricName: str  # noqa: N815
    quantity: Decimal
    occurredAt: datetime | int | float | None = None  # noqa: N815
    idempotencyKey: str | None = None  # noqa: N815
    productType: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    agentId: str | None = None  # noqa: N815
    toolName: str | None = None  # noqa: N815
    traceId: str | None = None  # noqa: N815
    metadata: msgspec.Raw = msgspec.Raw()

    def occurred(self, default: datetime) -> datetime:
        """When it happened: aware UTC; a time without zone is UTC, a number is milliseconds.

        Raises ValueError or OverflowError when no calendar holds it.
        """
        moment = self.occurredAt
        if moment is None:
            return default
        if isinstance(moment, datetime):
            if moment.tzinfo is UTC:
                return moment
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return _EPOCH + timedelta(milliseconds=moment)

    def metadata_text(self) -> str | None:
        """The exact bytes of the metadata as text; None when there is none."""
        raw = bytes(self.metadata)
        return None if raw in _ABSENT else raw.decode()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one event was not counted: a stable code and a sentence that names the field."""

    code: str
    detail: str


# Every escape is matched, so that the backslash of an escaped backslash begins none.
_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_events = msgspec.json.Decoder(list[Event])
_event = msgspec.json.Decoder(Event)
_fields = msgspec.json.Decoder(Fields)
KNOWN_FIELDS = frozenset(Event.__struct_fields__)


def made_key(batch_id: UUID, index: int) -> str:
    """The key of an event that came without one: the same for the door and for every drain."""
    return f"auto:{batch_id}:{index}"


def event_array(body: bytes) -> bytes:
    """The JSON array of events in `body`: one event, `{"events": [...]}` or a bare array.

    Raises Unreadable (400) when it is not JSON of one of these three shapes.
    """
    stripped = _without_lone_surrogates(body.strip())
    if not stripped:
        raise Unreadable("the body is empty", code="EMPTY_BODY")
    if b"\x00" in stripped:
        raise Unreadable("the body holds a nul character", code="MALFORMED_JSON")
    try:
        stripped.decode()
        if stripped.startswith(b"["):
            return stripped
        fields = _fields.decode(stripped)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}", code="MALFORMED_JSON") from None
    return bytes(fields["events"]) if "events" in fields else b"[" + stripped + b"]"


def _without_lone_surrogates(body: bytes) -> bytes:
    """Half an emoji, as clients send it that cut texts by length, becomes U+FFFD.

    No text can hold it, and it would sink the batch of all the others.
    """
    # The lone backslash is looked for first: that takes a fiftieth of the time.
    if b"\\" not in body or (b"\\ud" not in body and b"\\uD" not in body):
        return body
    return _ESCAPE.sub(lambda match: b"\\ufffd" if match[2] else match[0], body)


def split(array: bytes) -> list[msgspec.Raw]:
    """Each event's own JSON; raises Unreadable (400) or TooLarge (413)."""
    try:
        raws = _raws.decode(array)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"events is not a JSON array: {error}", code="MALFORMED_JSON") from None
    if len(raws) > MAX_EVENTS:
        raise TooLarge(f"{len(raws)} events in one request; the limit is {MAX_EVENTS}")
    return raws


def decode_all(array: bytes) -> list[Event | Refusal] | None:
    """All events at once, or None when one of them needs a closer look."""
    try:
        decoded: list[Event | Refusal] = _events.decode(array)  # type: ignore[assignment]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded if len(decoded) <= MAX_EVENTS else None


def decode_one(raw: bytes | msgspec.Raw) -> Event | Refusal:
    """One event, or why it is none."""
    try:
        return _event.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal("INVALID_EVENT", str(error))


def fields_of(raw: bytes | msgspec.Raw) -> Fields | Refusal:
    """The top-level fields of one event, undecoded."""
    try:
        return _fields.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal("INVALID_EVENT", str(error))


def join(raws: Sequence[bytes | msgspec.Raw]) -> bytes:
    """The JSON array of `raws`."""
    return b"[" + b",".join(bytes(raw) for raw in raws) + b"]"


def named_in(raw: bytes) -> tuple[str, str]:
    """The metric and the customer that a refused event names, as far as they can be read."""
    fields = fields_of(raw)
    if isinstance(fields, Refusal):
        return "", ""
    return _text_in(fields.get("metricName")), _text_in(fields.get("customerId"))


def _text_in(raw: msgspec.Raw | None) -> str:
    """A text as a column can hold it; "" when it is none."""
    try:
        text = msgspec.json.decode(raw) if raw is not None else ""
    except msgspec.DecodeError:
        return ""
    return text.replace("\x00", "")[:400] if isinstance(text, str) else ""
