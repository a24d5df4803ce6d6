"""Events that are not plain: spelled as ours, unknown fields in metadata, credentials cut."""

import re
from dataclasses import dataclass, field, replace
from decimal import Decimal, DecimalException
from functools import cached_property
from uuid import UUID

import msgspec

from catalog import aliases
from metering.ingest import envelopes
from metering.ingest.envelopes import NATIVE, NULL, Envelope, has
from metering.ingest.events import KNOWN_FIELDS, Fields, Refusal, fields_of

# Field names that gateways and agents use for credentials, wherever they stand.
SECRET_FIELDS = frozenset({"apikey", "api_key", "x-api-key", "authorization", "secret", "password"})
# Searched for one by one in lower case: a pattern of all of them takes twice as long.
_SUSPECT = (b'"sk_', b'"afo_', b'"alias:', *(f'"{name}"'.encode() for name in SECRET_FIELDS))
# Letters that a JSON library never escapes: whoever does may hide a credential from the scan.
_HIDING = re.compile(rb"\\u00(?:2d|[46][1-9a-f]|5[0-9af]|7[0-9a])", re.IGNORECASE)
_REMOVED = "[removed]"
_decoder = msgspec.json.Decoder(float_hook=Decimal)  # no digit of a number is lost on the way
_EMPTY = msgspec.Raw(b'""')
_encoder = msgspec.json.Encoder(decimal_format="number")
_UNREADABLE = (msgspec.MsgspecError, RecursionError, DecimalException)


@dataclass(frozen=True)
class Cover:
    """What a request says of its events beside their JSON: by its door, its key, its headers."""

    tenant_id: UUID
    envelope: Envelope = NATIVE
    token: str | None = field(default=None, repr=False)
    idempotency_key: str | None = None  # these two are of a single event
    trace_id: str | None = None
    customer_id: UUID | None = None  # whose subscription its key was given out for

    @property
    def is_blank(self) -> bool:
        """Whether its headers add nothing to a single event."""
        return self.idempotency_key is None and self.trace_id is None

    def of_several(self) -> "Cover":
        """The same without what can only be said of a single event."""
        return self if self.is_blank else replace(self, idempotency_key=None, trace_id=None)

    @cached_property
    def owner(self) -> msgspec.Raw | None:
        """What stands for the API key itself as the name of a customer."""
        if self.token is None:
            return None
        return _raw(aliases.stand_in(aliases.digest_of(self.tenant_id, self.token)))


def is_suspect(body: bytes) -> bool:
    """Whether anything in `body` looks like a credential: a few scans in C per request."""
    if b"\\" in body and b"\\u00" in body and _HIDING.search(body) is not None:
        return True
    lower = body.lower()
    return any(suspect in lower for suspect in _SUSPECT)


def fold(raw: bytes, *, cover: Cover, is_risky: bool) -> bytes | Refusal:
    """The same event with only known top-level fields and, of a risky body, no credentials.

    Other spellings become ours; unknown fields move into metadata unless it has them already; a
    customerId that is itself a key becomes a stand-in that finds the customer without keeping the
    key.
    """
    fields = fields_of(raw)
    if isinstance(fields, Refusal):
        return fields
    try:
        known = _folded(fields, cover)
        if is_risky or any(map(aliases.is_secret, filter(None, _headers(cover)))):
            mended = _without_credentials(known, cover.tenant_id)
            if isinstance(mended, Refusal):
                return mended
            known = mended
        _name_customer(known, cover)
        return _encoder.encode(known)
    except _UNREADABLE as error:
        return Refusal("INVALID_EVENT", f"the event cannot be read: {error}")


def kept(raw: bytes) -> bytes:
    """A refused event as a dead letter may keep it: whole, but for its credentials."""
    if not is_suspect(raw):
        return raw
    try:
        return _encoder.encode(_cut(_decoder.decode(raw)))
    except _UNREADABLE:
        return _encoder.encode(_REMOVED)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(value))


def _headers(cover: Cover) -> tuple[str | None, str | None]:
    return cover.idempotency_key, cover.trace_id


def _folded(fields: Fields, cover: Cover) -> Fields:
    """The fields that are ours; all others in metadata, unless that is refused at its gate."""
    known = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
    extra = {name: value for name, value in fields.items() if name not in KNOWN_FIELDS}
    if extra:
        envelopes.respell(known, extra, cover.envelope)
    if cover.idempotency_key is not None and not has(known, "idempotencyKey"):
        known["idempotencyKey"] = _raw(cover.idempotency_key)
    if cover.trace_id is not None and not has(known, "traceId"):
        known["traceId"] = _raw(cover.trace_id)
    envelopes.complete(known, cover.envelope)
    own = fields_of(known["metadata"]) if has(known, "metadata") else {}
    if extra and not isinstance(own, Refusal):
        known["metadata"] = _raw(extra | own)
    return known


def _name_customer(known: Fields, cover: Cover) -> None:
    """An event without customer is for the customer of its key, if that has one.

    An agent's is for the owner of the key, else for the agent's own.
    """
    if has(known, "customerId"):
        return
    if cover.customer_id is not None:
        known["customerId"] = _raw(str(cover.customer_id))
    elif known.get("agentId", NULL) not in (NULL, _EMPTY):
        known["customerId"] = cover.owner or known["agentId"]


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
