"""Conditions of an alert: a JSONPath into the payload of a fact, an operator and a value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Self

from webhooks.inbound.paths import InvalidPath, parsed
from webhooks.inbound.walking import Allowance, matches

MOST = 20  # conditions of one rule
MOST_PLACES = 10_000  # of a payload for one rule: 10 ms; payloads of facts have a few hundred
_LONGEST = 400


class InvalidCondition(ValueError):
    """A condition that can never be looked at; `position` counts from 0."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


@lru_cache(maxsize=10_000)  # apart from those of mappings: rules drive none of them out
def _way(path: str) -> Any:
    return parsed(path)


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _same(found: object, value: str) -> bool:
    number, wanted = _number(found), _number(value)
    if number is not None and wanted is not None:
        return number == wanted
    return _text(found) == value


def _text(found: object) -> str:
    return str(found).lower() if isinstance(found, bool) else str(found)


def _ordered(compare: Callable[[Decimal, Decimal], bool]) -> Callable[[object, str], bool]:
    def holds(found: object, value: str) -> bool:
        number, wanted = _number(found), _number(value)
        return number is not None and wanted is not None and compare(number, wanted)

    return holds


OPERATORS: Mapping[str, Callable[[object, str], bool]] = {
    "EQUALS": _same,
    "NOT_EQUALS": lambda found, value: not _same(found, value),
    "GREATER": _ordered(lambda number, wanted: number > wanted),
    "AT_LEAST": _ordered(lambda number, wanted: number >= wanted),
    "LESS": _ordered(lambda number, wanted: number < wanted),
    "AT_MOST": _ordered(lambda number, wanted: number <= wanted),
    "CONTAINS": lambda found, value: value in _text(found),
    "EXISTS": lambda _, __: True,
}
"""What each says of something that is there; of what is not there only ABSENT holds."""
ABSENT = "ABSENT"
NUMBERS = frozenset({"GREATER", "AT_LEAST", "LESS", "AT_MOST"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a rule. Numbers are compared exactly, also when they are texts, as money is."""

    path: str
    operator: str
    value: str = ""

    @classmethod
    def read(cls, said: Mapping[str, Any], position: int = 0) -> Self:
        """The condition that was said; raises InvalidCondition."""
        path, operator, value = (str(said.get(key) or "") for key in ("path", "operator", "value"))
        if said.keys() - {"path", "operator", "value"}:
            raise InvalidCondition(position, "a condition has path, operator and value")
        if operator not in OPERATORS and operator != ABSENT:
            raise InvalidCondition(position, f"there is no operator {operator!r}")
        if not path or len(path) > _LONGEST or len(value) > _LONGEST:
            raise InvalidCondition(position, f"a path is given, in at most {_LONGEST} characters")
        if operator in NUMBERS and _number(value) is None:
            raise InvalidCondition(position, f"{value!r} is no number")
        if {"|", "&"} & set(path):  # the parser is giving these up
            raise InvalidCondition(position, "a path has neither | nor &")
        try:
            _way(path)
        except InvalidPath as error:
            raise InvalidCondition(position, str(error)) from None
        return cls(path, operator, value)

    def holds(self, payload: Mapping[str, Any], allowance: Allowance | None = None) -> bool:
        """Whether it holds for anything at the path; null is nothing.

        Raises TooMuchWork beyond the allowance, `MOST_PLACES` unless another is given.
        """
        found = matches(_way(self.path), payload, allowance or Allowance(MOST_PLACES))
        there = [one for one in found if one is not None]
        if self.operator == ABSENT:
            return not there
        return any(OPERATORS[self.operator](value, self.value) for value in there)


def read_conditions(said: object) -> tuple[Condition, ...]:
    """All conditions of a rule; raises InvalidCondition."""
    if not isinstance(said, Sequence) or not all(isinstance(one, Mapping) for one in said):
        raise InvalidCondition(0, "conditions are a list of objects")
    if len(said) > MOST:
        raise InvalidCondition(MOST, f"a rule has at most {MOST} conditions")
    return tuple(Condition.read(one, position) for position, one in enumerate(said))
