"""Dimensions: which total an event counts in, by the values of some of its metadata keys.

A dimension is text: '' where terms name no keys, else canonical JSON of {key: value}, which is
what totals are kept by.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from hashlib import blake2b

from aforo.money import plain

LONGEST_VALUE = 120  # characters; three of them, escaped, still fit into an index row
_KEPT_OF_LONGER = 100
_PLAIN_MAGNITUDE = 40  # beyond this a number's exponent is shorter than its zeros
_ANY_DIGITS = Context(prec=20_000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def dimension_of(keys: Sequence[str], fields: Mapping[str, object]) -> str:
    """The dimension of an event with these fields; a key that it lacks has the value "".

    A value longer than `LONGEST_VALUE` is cut, and a hash of all of it keeps it apart from others.
    """
    if not keys:
        return ""
    values = {key: _bounded(text_in(fields, key)) for key in sorted(keys)}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def values_in(dimension: str) -> dict[str, str]:
    """The inverse of `dimension_of`: {key: value}, empty for '' and for text that is no object."""
    try:
        values = json.loads(dimension or "{}")
    except ValueError:
        return {}
    return dict(values) if isinstance(values, dict) else {}


def label_of(dimension: str) -> str:
    """A dimension for people: `model: gpt-4, region: eu`; '' for '', other text as it is."""
    pairs = values_in(dimension).items()
    return ", ".join(f"{key}: {value or '(none)'}" for key, value in pairs) or dimension


def text_in(fields: Mapping[str, object], key: str) -> str:
    """The value of `key` as text; `tool_name` is also found as `toolName`, as some clients say."""
    value = fields.get(key)
    if value is None and "_" in key:
        first, *rest = key.split("_")
        value = fields.get(first + "".join(word.capitalize() for word in rest))
    return text_of(value)


def text_of(value: object) -> str:
    """A metadata value as text: a number is the same as its text, 1 and 1.0 are one."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return _spelled(Decimal(value))
        case _:
            return json.dumps(
                value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=text_of
            )


def _bounded(text: str) -> str:
    if len(text) <= LONGEST_VALUE:
        return text
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[:_KEPT_OF_LONGER]}~{digest}"


def _spelled(number: Decimal) -> str:
    if not number or abs(number.adjusted()) <= _PLAIN_MAGNITUDE:
        return plain(number)
    return str(number.normalize(_ANY_DIGITS))
