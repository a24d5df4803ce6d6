"""What stands where in a payload: JSONPaths, each parsed once per process, and plain texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.jsonpath import Descendants, Root
from jsonpath_ng.parser import parse

from metering.ingest.events import MAX_EVENTS
from webhooks.inbound.walking import STEPS, Allowance, TooManyEvents, matches

MOST_PLACES = 10_000_000  # of one push: 10 s of a worker, and 10 MiB of the smallest events need 5
PLACES_OF_EVENT = 20  # what making one costs, in places looked at
_BETWEEN = re.compile(r"\|\s*(?=[$@])")


class InvalidPath(ValueError):
    """This is no JSONPath, or one that is not followed here."""


@lru_cache(maxsize=10_000)
def compiled(path: str) -> tuple[Any, ...]:
    """A path, or several with `|` between them, parsed once per process; raises InvalidPath."""
    return tuple(parsed(one.strip()) for one in _BETWEEN.split(path))


def parsed(path: str) -> Any:
    """One path, parsed anew: up to some milliseconds; raises InvalidPath."""
    if {"|", "&"} & set(path) and not {"'", '"'} & set(path):  # the parser is giving these up
        raise InvalidPath(f"{path!r} is no JSONPath: each alternative begins with $ or @")
    try:
        read = parse(path)
    except JSONPathError as error:
        raise InvalidPath(f"{path!r} is no JSONPath: {error}") from None
    _require_bounded(path, list(_nodes(read)))
    return read


def _require_bounded(path: str, nodes: list[Any]) -> None:
    """Each further `..` looks at the whole payload again for every place that the first found."""
    if sum(isinstance(node, Descendants) for node in nodes) > 1:
        raise InvalidPath(f"{path!r} has more than one `..`")
    if any(isinstance(node, Root) for node in nodes[1:]):
        raise InvalidPath(f"{path!r} has a $ that is not its beginning")
    unknown = next((node for node in nodes if not isinstance(node, STEPS)), None)
    if unknown is not None:
        raise InvalidPath(f"{path!r} is not followed here: {type(unknown).__name__.lower()}")


def _nodes(parsed: Any) -> Iterator[Any]:
    """All nodes of a path, what it begins with before all others."""
    if hasattr(parsed, "left"):
        yield from _nodes(parsed.left)
        yield from _nodes(parsed.right)
    yield parsed


@dataclass(slots=True)
class Search:
    """Looking for things in one push. Raises TooMuchWork beyond so many places."""

    allowance: Allowance = field(default_factory=lambda: Allowance(MOST_PLACES))
    events_left: int = MAX_EVENTS

    def make_event(self) -> None:
        """Make one more event; raises TooManyEvents when it is one too many for a push."""
        self.allowance.spend(PLACES_OF_EVENT)
        self.events_left -= 1
        if self.events_left < 0:
            raise TooManyEvents(f"a push makes at most {MAX_EVENTS:,} events at once")

    def found(self, payload: object, path: str) -> object | None:
        """The first thing at `path`; None when there is nothing, or null."""
        for one in compiled(path) if path else ():
            value = next(matches(one, payload, self.allowance), None)
            if value is not None:
                return value
        return None

    def all_found(self, payload: object, path: str) -> list[object]:
        """Everything at `path`; of alternatives, at the first that has anything."""
        for one in compiled(path):
            if values := list(matches(one, payload, self.allowance)):
                return values
        return []

    def said(self, expression: str, *, payload: object, item: object) -> object | None:
        """What is at `$` in the payload or at `@` in the item; any other text is itself.

        Of alternatives, the first that is there.
        """
        if not is_path(expression):
            return expression or None
        for one in _BETWEEN.split(expression):
            value = self.found(item if one[0] == "@" else payload, _from_root(one))
            if value is not None:
                return value
        return None


def is_path(expression: str) -> bool:
    """Whether it says where something is, rather than what it is."""
    return expression.startswith(("$", "@"))


def check(expression: str) -> None:
    """Raise InvalidPath for a path that cannot be read; any other text is itself."""
    if is_path(expression):
        for one in _BETWEEN.split(expression):
            compiled(_from_root(one))


def text_of(value: object) -> str:
    """A text or a number as text; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    return str(value)


def _from_root(expression: str) -> str:
    return ("$" + expression[1:] if expression[0] == "@" else expression).strip()
