"""The values that UNIQUE counts: one definition, for the drain and for everybody who replays it."""

from collections.abc import Mapping
from decimal import Context, Decimal, DecimalException
from hashlib import blake2b

import msgspec

from aforo.money import plain

_decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)  # 1e400 is a number too
_ANY_DIGITS = Context(prec=20_000)  # more than metadata has room for
_PLAIN_MAGNITUDE = 40  # beyond this a number's exponent is shorter than its zeros


class UnreadableMetadata(ValueError):
    """Metadata that is JSON, but holds a number or a depth that no program of ours can hold."""


def fields_of(metadata: str | None, own: Mapping[str, object]) -> Mapping[str, object]:
    """What can be counted of an event: its metadata, before its own fields of the same name."""
    if not metadata:
        return own
    try:
        return {**own, **_decoder.decode(metadata)}
    except (msgspec.DecodeError, RecursionError, DecimalException) as error:
        raise UnreadableMetadata(f"metadata cannot be read: {error}") from None


def value_hash(value: object) -> str:
    """BLAKE2b-128 of a value, in hex. A number is the same as its text; 1 and 1.0 are one."""
    match value:
        case str():
            text = value.encode()
        case Decimal():
            text = _spelled(value).encode()
        case _:
            text = msgspec.json.encode(value)
    return blake2b(text, digest_size=16).hexdigest()


def _spelled(number: Decimal) -> str:
    if not number or abs(number.adjusted()) <= _PLAIN_MAGNITUDE:
        return plain(number)
    return str(number.normalize(_ANY_DIGITS))
