"""Filter conditions of billable units: which events of a metric a unit counts.

`[{"field", "operator", "value"}, ...]`, all of which must hold. Values are text on the wire;
where both sides are numeric they are compared as numbers. Nothing here knows the database.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

MOST_CONDITIONS = 20
LONGEST_VALUE = 1000  # characters; room for some dozens of items after IN
_KEYS = {"field", "operator", "value"}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)

Test = Callable[[object], bool]


class InvalidConditions(ValueError):
    """Conditions that cannot be judged; `field` is the wire path, `reason` what is wrong there."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison: its text, and its number where it has one."""

    text: str
    number: Decimal | None

    def equals(self, other: "Operand") -> bool:
        if self.number is None or other.number is None:
            return self.text == other.text
        return self.number == other.number


def compile_conditions(conditions: object) -> Callable[[Mapping[str, object]], bool]:
    """A test of an event's fields that is true where every condition holds.

    An absent (or null) field meets only the NOT_ operators. Raises InvalidConditions.
    """
    if not isinstance(conditions, Sequence) or isinstance(conditions, str | bytes):
        raise InvalidConditions("filterConditions", "must be a list of objects")
    if len(conditions) > MOST_CONDITIONS:
        raise InvalidConditions("filterConditions", f"must be at most {MOST_CONDITIONS}")
    tests = tuple(
        _compile_one(f"filterConditions[{index}]", condition)
        for index, condition in enumerate(conditions)
    )

    def all_hold(fields: Mapping[str, object]) -> bool:
        for name, holds in tests:  # noqa: SIM110 - all() of a generator costs twice as much
            if not holds(fields.get(name)):
                return False
        return True

    return all_hold


def _compile_one(path: str, condition: object) -> tuple[str, Test]:
    if not isinstance(condition, Mapping):
        raise InvalidConditions(path, "must be an object")
    unknown = sorted(str(key) for key in condition.keys() - _KEYS)
    if unknown:
        raise InvalidConditions(f"{path}.{unknown[0]}", "is not a part of a condition")
    name = condition.get("field")
    if not isinstance(name, str) or not name.strip():
        raise InvalidConditions(f"{path}.field", "must be the name of a field")
    operator = condition.get("operator")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise InvalidConditions(f"{path}.operator", f"must be one of {', '.join(OPERATORS)}")
    return name, OPERATORS[operator](_texts(f"{path}.value", operator, condition.get("value")))


def _texts(path: str, operator: str, value: object) -> tuple[str, ...]:
    """The texts to compare with: one, or after IN and NOT_IN as many as there are commas say."""
    if not isinstance(value, str):
        raise InvalidConditions(path, "must be text")
    if len(value) > LONGEST_VALUE:
        raise InvalidConditions(path, f"must be at most {LONGEST_VALUE} characters")
    if operator not in ("IN", "NOT_IN"):
        return (value,)
    items = tuple(item.strip() for item in value.split(",") if item.strip())
    if not items:
        raise InvalidConditions(path, "must name at least one item, separated by commas")
    return items


def _operand(text: str) -> Operand:
    return Operand(text, Decimal(text) if _NUMBER.fullmatch(text) else None)


def _operand_of(value: object) -> Operand | None:
    """An event's value; None where there is nothing to compare (absent, a list, an object)."""
    match value:
        case str():
            return _operand(value)
        case bool():
            return Operand("true" if value else "false", None)
        case int() | Decimal() | float():
            return _operand(str(value))
    return None


def _equals(texts: tuple[str, ...]) -> Test:
    wanted = tuple(_operand(text) for text in texts)

    def holds(value: object) -> bool:
        if value in texts:  # the usual case needs no Decimal
            return True
        held = _operand_of(value)
        return held is not None and any(held.equals(operand) for operand in wanted)

    return holds


def _greater(texts: tuple[str, ...]) -> Test:
    return _ordered(texts[0], lambda compared: compared > 0)


def _less(texts: tuple[str, ...]) -> Test:
    return _ordered(texts[0], lambda compared: compared < 0)


def _ordered(text: str, accepts: Callable[[int], bool]) -> Test:
    """Numbers with numbers, text with text (ISO dates sort so); a mixture is never in order."""
    bound = _operand(text)

    def holds(value: object) -> bool:
        held = _operand_of(value)
        if held is None or (held.number is None) != (bound.number is None):
            return False
        if held.number is not None and bound.number is not None:
            return accepts((held.number > bound.number) - (held.number < bound.number))
        return accepts((held.text > bound.text) - (held.text < bound.text))

    return holds


def _contains(texts: tuple[str, ...]) -> Test:
    """A part of a text, or an item of a list."""
    part = texts[0]
    is_item = _equals(texts)

    def holds(value: object) -> bool:
        if isinstance(value, list | tuple):
            return any(is_item(item) for item in value)
        held = _operand_of(value)
        return held is not None and part in held.text

    return holds


def _not(build: Callable[[tuple[str, ...]], Test]) -> Callable[..., Test]:
    def built(texts: tuple[str, ...]) -> Test:
        holds = build(texts)
        return lambda value: not holds(value)

    return built


OPERATORS: dict[str, Callable[[tuple[str, ...]], Test]] = {
    "EQUALS": _equals,
    "NOT_EQUALS": _not(_equals),
    "GREATER_THAN": _greater,
    "LESS_THAN": _less,
    "CONTAINS": _contains,
    "NOT_CONTAINS": _not(_contains),
    "IN": _equals,
    "NOT_IN": _not(_equals),
}
