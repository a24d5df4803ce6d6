"""Events that are not plain: unknown fields fold into metadata, credentials are cut."""

import re
from decimal import Decimal
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
_REMOVED = "[removed]"
_NULL = msgspec.Raw(b"null")
_decoder = msgspec.json.Decoder(float_hook=Decimal)  # no digit of a number is lost on the way
_encoder = msgspec.json.Encoder(decimal_format="number")


def is_suspect(body: bytes) -> bool:
    """Whether anything in `body` looks like a credential: one scan in C per request."""
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
        mended = _without_credentials(known, tenant_id) if is_suspect(raw) else known
    except (msgspec.DecodeError, RecursionError) as error:
        return Refusal("INVALID_EVENT", str(error))
    return mended if isinstance(mended, Refusal) else _encoder.encode(mended)


def _folded(fields: Fields) -> Fields:
    known = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
    extra = {name: value for name, value in fields.items() if name not in KNOWN_FIELDS}
    own = fields_of(known.get("metadata", _NULL)) if known.get("metadata", _NULL) != _NULL else {}
    if extra and not isinstance(own, Refusal):  # metadata of another shape is refused at its gate
        known["metadata"] = msgspec.Raw(_encoder.encode(extra | own))
    return known


def _without_credentials(known: Fields, tenant_id: UUID) -> Fields | Refusal:
    metadata = _decoder.decode(known.get("metadata", _NULL))
    customer = _decoder.decode(known.get("customerId", _NULL))
    cut = known | {"metadata": msgspec.Raw(_encoder.encode(_cut(metadata)))}
    if not isinstance(customer, str):
        return cut
    if aliases.digest_in(customer):
        return Refusal("INVALID_EVENT", "customerId must not be a stand-in for another name")
    if aliases.is_secret(customer):
        alias = aliases.stand_in(aliases.digest_of(tenant_id, customer))
        cut["customerId"] = msgspec.Raw(_encoder.encode(alias))
    return cut


def _cut(value: object) -> object:
    """`value` with every credential inside it replaced."""
    match value:
        case dict():
            return {
                name: _REMOVED if name.lower() in SECRET_FIELDS else _cut(inner)
                for name, inner in value.items()
            }
        case list():
            return [_cut(inner) for inner in value]
        case str() if aliases.is_secret(value):
            return _REMOVED
        case _:
            return value
