"""Events that are not plain: unknown fields fold into metadata, credentials are cut."""

import re
from decimal import Decimal, DecimalException
from uuid import UUID

import msgspec

from catalog import aliases
from metering.ingest.events import KNOWN_FIELDS, Refusal, fields_of

Fields = dict[str, msgspec.Raw]

# Field names that gateways and agents use for credentials, wherever they stand.
SECRET_FIELDS = frozenset({"apikey", "api_key", "x-api-key", "authorization", "secret", "password"})
_SUSPECT = re.compile(
    rb'"(?:' + "|".join(sorted(SECRET_FIELDS)).encode() + rb')"|"(?:sk_|afo_|alias:)',
    re.IGNORECASE,
)
# Letters that a JSON library never escapes: whoever does may hide a credential from the scan.
_HIDING = re.compile(rb"\\u00(?:2d|[46][1-9a-f]|5[0-9af]|7[0-9a])", re.IGNORECASE)
_REMOVED = "[removed]"
_NULL = msgspec.Raw(b"null")
_decoder = msgspec.json.Decoder(float_hook=Decimal)  # no digit of a number is lost on the way
_encoder = msgspec.json.Encoder(decimal_format="number")
_UNREADABLE = (msgspec.MsgspecError, RecursionError, DecimalException)


def is_suspect(body: bytes) -> bool:
    """Whether anything in `body` looks like a credential: one scan in C per request."""
    if b"\\u00" in body and _HIDING.search(body) is not None:
        return True
    return _SUSPECT.search(body) is not None


def fold(raw: bytes, *, tenant_id: UUID, idempotency_key: str | None) -> bytes | Refusal:
    """The same event with only known top-level fields and no credentials.

    Unknown fields move into metadata unless metadata has them already; `idempotency_key` (from
    the request's header) stands in for an absent one; a customerId that is itself a key becomes
    a stand-in that finds the customer without keeping the key.
    """
    fields = fields_of(raw)
    if isinstance(fields, Refusal):
        return fields
    try:
        known = _folded(fields)
        if idempotency_key is not None and known.get("idempotencyKey", _NULL) == _NULL:
            known["idempotencyKey"] = msgspec.Raw(_encoder.encode(idempotency_key))
        is_risky = is_suspect(raw) or aliases.is_secret(idempotency_key or "")
        mended = _without_credentials(known, tenant_id) if is_risky else known
    except _UNREADABLE as error:
        return Refusal("INVALID_EVENT", f"the event cannot be read: {error}")
    return mended if isinstance(mended, Refusal) else _encoder.encode(mended)


def kept(raw: bytes) -> bytes:
    """A refused event as a dead letter may keep it: whole, but for its credentials."""
    if not is_suspect(raw):
        return raw
    try:
        return _encoder.encode(_cut(_decoder.decode(raw)))
    except _UNREADABLE:
        return _encoder.encode(_REMOVED)


def _folded(fields: Fields) -> Fields:
    known = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
    extra = {name: value for name, value in fields.items() if name not in KNOWN_FIELDS}
    own = fields_of(known.get("metadata", _NULL)) if known.get("metadata", _NULL) != _NULL else {}
    if extra and not isinstance(own, Refusal):  # metadata of another shape is refused at its gate
        known["metadata"] = msgspec.Raw(_encoder.encode(extra | own))
    return known


def _without_credentials(known: Fields, tenant_id: UUID) -> Fields | Refusal:
    """The fields without credentials; a name or a key that is one gets a stand-in of its own."""
    cut = dict(known)
    for name, raw in known.items():
        if not is_suspect(bytes(raw)):
            continue
        value = _decoder.decode(raw)
        if name == "customerId" and isinstance(value, str) and aliases.digest_in(value):
            return Refusal("INVALID_EVENT", "customerId must not be a stand-in for another name")
        if isinstance(value, str) and aliases.is_secret(value):
            value = aliases.stand_in(aliases.digest_of(tenant_id, value))
        cut[name] = msgspec.Raw(_encoder.encode(_cut(value)))
    return cut


def _cut(value: object) -> object:
    """`value` with every credential inside it replaced."""
    match value:
        case dict():
            return {
                _cut_text(name): _REMOVED if name.lower() in SECRET_FIELDS else _cut(inner)
                for name, inner in value.items()
            }
        case list():
            return [_cut(inner) for inner in value]
        case str():
            return _cut_text(value)
        case _:
            return value


def _cut_text(text: str) -> str:
    return _REMOVED if aliases.is_secret(text) else text
