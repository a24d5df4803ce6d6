"""What was pushed, as JSON: a body that is JSON as it is, a form as the object of its fields."""

from collections.abc import Collection
from urllib.parse import parse_qs

import msgspec

from aforo.api import parsers
from aforo.errors import TooLarge, Unreadable
from metering.ingest.events import MAX_EVENTS

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 1_000
_encoder = msgspec.json.Encoder(decimal_format="number")


def document_of(
    body: bytes, *, content_type: str, cut: Collection[str], may_hold_json: bool = True
) -> tuple[bytes, object]:
    """The JSON of a push and its value, without the members `cut`, which are credentials.

    A form with a field `payload` is the JSON in that field, if it `may_hold_json`. No signature
    covers a content type: what begins as JSON does is no form. Raises Unreadable (400), Refused
    (422) for a number beyond reason, TooLarge (413) for more payloads than an array may have.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM and not body.lstrip().startswith((b"{", b"[")):
        body = _form(body, may_hold_json=may_hold_json)
    value = parsers.decode(body)
    if isinstance(value, list) and len(value) > MAX_EVENTS:
        raise TooLarge(f"one push may have {MAX_EVENTS:,} payloads")
    if isinstance(value, dict) and not value.keys().isdisjoint(cut):
        value = {name: member for name, member in value.items() if name not in cut}
        body = _encoder.encode(value)
    return body, value


def _form(body: bytes, *, may_hold_json: bool) -> bytes:
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise Unreadable(f"the form cannot be read: {error}") from None
    if may_hold_json and "payload" in fields:
        return fields["payload"][0].encode()
    return _encoder.encode(
        {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    )
