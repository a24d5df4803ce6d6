"""What stands where in a payload: JSONPaths, each parsed once per process, and plain texts."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse

_BETWEEN = re.compile(r"\|\s*(?=[$@])")


class InvalidPath(ValueError):
    """This is no JSONPath."""


@lru_cache(maxsize=10_000)
def compiled(path: str) -> tuple[Any, ...]:
    """A path, or several with `|` between them, parsed once per process; raises InvalidPath."""
    return tuple(_parsed(one.strip()) for one in _BETWEEN.split(path))


def _parsed(path: str) -> Any:
    if {"|", "&"} & set(path) and not {"'", '"'} & set(path):  # the parser is giving these up
        raise InvalidPath(f"{path!r} is no JSONPath: each alternative begins with $ or @")
    try:
        return parse(path)
    except JSONPathError as error:
        raise InvalidPath(f"{path!r} is no JSONPath: {error}") from None


def found(payload: object, path: str) -> object | None:
    """The first thing at `path`; None when there is nothing, or null."""
    alternatives = (_all_at(payload, one) for one in (compiled(path) if path else ()))
    return next((one[0] for one in alternatives if one and one[0] is not None), None)


def all_found(payload: object, path: str) -> list[object]:
    """Everything at `path`; of alternatives, at the first that has anything."""
    return next(filter(None, (_all_at(payload, one) for one in compiled(path))), [])


def _all_at(payload: object, parsed: Any) -> list[object]:
    """What is there; nothing where the payload is of another shape than the path."""
    try:
        return [match.value for match in parsed.find(payload)]
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError):
        return []


def is_path(expression: str) -> bool:
    """Whether it says where something is, rather than what it is."""
    return expression.startswith(("$", "@"))


def check(expression: str) -> None:
    """Raise InvalidPath for a path that cannot be read; any other text is itself."""
    if is_path(expression):
        for one in _BETWEEN.split(expression):
            compiled(_from_root(one))


def said(expression: str, *, payload: object, item: object) -> object | None:
    """What is at `$` in the payload or at `@` in the item; any other expression is its own text.

    Of alternatives, the first that is there.
    """
    if not is_path(expression):
        return expression or None
    for one in _BETWEEN.split(expression):
        value = found(item if one[0] == "@" else payload, _from_root(one))
        if value is not None:
            return value
    return None


def text_of(value: object) -> str:
    """A text or a number as text; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    return str(value)


def _from_root(expression: str) -> str:
    return ("$" + expression[1:] if expression[0] == "@" else expression).strip()
