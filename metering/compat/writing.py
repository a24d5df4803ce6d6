"""Writes events of our own, field by field, out of JSON that nobody has to decode."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException

import msgspec

from aforo.errors import Unreadable
from metering.ingest import events
from metering.ingest.events import Refusal
from metering.ingest.translation import Translation

Fields = Mapping[str, msgspec.Raw]
TranslateOne = Callable[[Fields], "dict[str, object] | Refusal"]

NULL = msgspec.Raw(b"null")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = 1_000_000
_DIGITS_OF_SECONDS = 15  # before the point; whoever sends more asks for an integer without end
_encoder = msgspec.json.Encoder(decimal_format="number")
_any = msgspec.json.Decoder(float_hook=Decimal)


def translation(raws: Iterable[msgspec.Raw | bytes], translate: TranslateOne) -> Translation:
    """Each foreign event as one of ours; what is none of either stays as it is, refused."""
    array: list[bytes] = []
    refused: dict[int, Refusal] = {}
    for index, raw in enumerate(raws):
        fields = events.fields_of(raw)
        event = fields if isinstance(fields, Refusal) else translate(fields)
        if isinstance(event, Refusal):
            refused[index] = event
            array.append(bytes(raw))
        else:
            array.append(_encoder.encode(event))
    return Translation(events.join(array), refused)


def encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(value))


def present(fields: Fields) -> dict[str, msgspec.Raw]:
    """The fields that are more than null."""
    return {name: raw for name, raw in fields.items() if raw != NULL}


def object_in(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object; None when it is something else or nothing."""
    if raw is None or not bytes(raw).lstrip().startswith(b"{"):
        return None
    fields = events.fields_of(raw)
    return None if isinstance(fields, Refusal) else fields


def text_in(raw: msgspec.Raw | None) -> str:
    """A text, or a number as text, since ids come as both; "" for anything else."""
    value = value_in(raw)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""


def value_in(raw: msgspec.Raw | None) -> object:
    """The decoded value, every digit of a number kept; None for what cannot be read."""
    if raw is None:
        return None
    try:
        return _any.decode(raw)
    except (msgspec.DecodeError, RecursionError, DecimalException, UnicodeDecodeError):
        return None


def time_of(raw: msgspec.Raw | None) -> str | Refusal | None:
    """A time in seconds since 1970 (a number, or one as text) or RFC 3339, for `occurredAt`."""
    value = value_in(raw)
    if value is None:
        return None
    text = str(value) if isinstance(value, str | int | Decimal) else ""
    try:
        seconds = Decimal(text)
    except DecimalException:
        return text or Refusal("INVALID_TIMESTAMP", "the time is neither a number nor a text")
    if not seconds.is_finite() or seconds.adjusted() >= _DIGITS_OF_SECONDS:
        return Refusal("INVALID_TIMESTAMP", f"no calendar holds the time {text[:40]}")
    try:
        return (_EPOCH + timedelta(microseconds=int(seconds * _MICROSECONDS))).isoformat()
    except OverflowError:
        return Refusal("INVALID_TIMESTAMP", f"no calendar holds the time {text[:40]}")


def fields_of_body(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of a body that is one JSON object; raises Unreadable (400)."""
    array = events.event_array(b"[" + body + b"]" if body.strip() else body)
    raws = events.split(array)
    fields = object_in(raws[0]) if len(raws) == 1 else None
    if fields is None:
        raise Unreadable("the body is no JSON object", code="MALFORMED_JSON")
    return fields


def sent_in(body: bytes, name: str) -> msgspec.Raw:
    """The one member that matters of a body that is one JSON object; raises Unreadable (400)."""
    fields = fields_of_body(body)
    if name not in fields:
        raise Unreadable(f"the body has no {name!r}", code="MALFORMED_JSON")
    return fields[name]


def first_refusal(*parts: object) -> Refusal | None:
    """What one of the translated parts of an event was refused for."""
    return next((part for part in parts if isinstance(part, Refusal)), None)


def required(fields: Fields, *names: str) -> Refusal | None:
    """Refuses an event without one of these texts, naming the first that is missing."""
    for name in names:
        if not text_in(fields.get(name)):
            return Refusal("INVALID_EVENT", f"{name} is missing or no text")
    return None
