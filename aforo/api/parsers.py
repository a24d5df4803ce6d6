"""JSON as it was sent: exact numbers, and nothing that breaks what stands behind."""

import json
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from aforo.errors import Refused, TooLarge, Unreadable

MAX_DEPTH = 64  # deeper than any body we know, far from the interpreter's own limit
MAX_DIGITS = 100  # of one number, before or after the point; also bounds what `plain` prints


class ExactJSONParser(BaseParser):
    """Numbers with a point become Decimals; NaN, deep nesting and nul characters are refused."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        return decode(body)


def decode(body: bytes) -> Any:
    """The value of a JSON body; raises `Unreadable` or, for a number beyond reason, `Refused`."""
    if not body.strip():
        raise Unreadable("the body is empty")
    try:
        value = json.loads(
            body.decode(), parse_float=_decimal, parse_int=_integer, parse_constant=_refuse
        )
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None
    except ValueError as error:  # malformed JSON or UTF-8
        raise Unreadable(f"the body is not JSON: {error}") from None
    _require_harmless(value)
    return value


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except DecimalException:  # an exponent that not even a Decimal holds
        raise _beyond_reason() from None
    if len(number.as_tuple().digits) > MAX_DIGITS or abs(number.adjusted()) > MAX_DIGITS:
        raise _beyond_reason()
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _beyond_reason()
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise Unreadable(f"the body is not JSON: {text} is not a number")


def _beyond_reason() -> Refused:
    return Refused(f"a number has more than {MAX_DIGITS} digits", code="VALUE_OUT_OF_RANGE")


def _require_harmless(value: Any) -> None:
    """Refuse what PostgreSQL cannot store, and what would break whoever walks it recursively."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for member in level:
            if isinstance(member, str):
                _require_storable(member)
            elif isinstance(member, list):
                inner += member
            elif isinstance(member, dict):
                inner += member
                inner += member.values()
        if not inner:
            return
        level = inner
    raise Unreadable(f"the body is nested deeper than {MAX_DEPTH} levels")


def _require_storable(text: str) -> None:
    if "\0" in text:
        raise Unreadable("the body holds a nul character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable("the body holds half a surrogate pair") from None
