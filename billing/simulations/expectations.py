"""Expectations: what was asked for beside what came out, and whether they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

EXACTLY = "exactly"  # of an invoice: its lines are these and no others


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation with its outcome."""

    name: str
    passed: bool
    expected: object
    actual: object

    def as_dict(self) -> dict[str, object]:
        verdict = "PASS" if self.passed else "FAIL"
        return {
            "name": self.name,
            "verdict": verdict,
            "expected": self.expected,
            "actual": self.actual,
        }


def compared(name: str, expected: object, actual: object) -> Finding:
    """Whether `actual` has all that `expected` names."""
    return Finding(name, holds(expected, actual), expected, shown(expected, actual))


def all_of(
    name: str, expected: Sequence[object], actual: Sequence[object], *, exactly: bool
) -> Finding:
    """Whether each of `expected` is one of `actual`, each another; with `exactly` none is left."""
    left = list(actual)
    for one in expected:
        found = next((other for other in left if holds(one, other)), None)
        if found is None:
            return Finding(name, False, expected, [shown(one, other) for other in actual])
        left.remove(found)
    passed = not (exactly and left)
    return Finding(name, passed, expected, [_alike(expected, other) for other in actual])


def holds(expected: object, actual: object) -> bool:
    """Members that are named are equal; numbers by value; lists hold each asked for once."""
    match expected:
        case Mapping():
            return (
                isinstance(actual, Mapping)
                and all(
                    key in actual and holds(value, actual[key])
                    for key, value in expected.items()
                    if key != EXACTLY
                )
                and _is_whole(expected, actual)
            )
        case list():
            return isinstance(actual, list) and all_of("", expected, actual, exactly=False).passed
        case str() if expected.startswith("~"):
            return isinstance(actual, str) and expected[1:] in actual
        case _:
            return expected == actual or _same_number(expected, actual)


def _is_whole(expected: Mapping[str, object], actual: Mapping[str, object]) -> bool:
    lines, found = expected.get("lines"), actual.get("lines")
    if not expected.get(EXACTLY) or not isinstance(lines, list) or not isinstance(found, list):
        return True
    return len(lines) == len(found)


def _same_number(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return False


def shown(expected: object, actual: object) -> object:
    """Of `actual`, what `expected` speaks of: a whole invoice would hide what differs."""
    match expected, actual:
        case Mapping(), Mapping():
            return {
                key: shown(value, actual.get(key))
                for key, value in expected.items()
                if key != EXACTLY
            }
        case list(), list():
            return [_alike(expected, other) for other in actual]
        case _:
            return actual


def _alike(expected: Sequence[object], actual: object) -> object:
    return shown(expected[0], actual) if expected else actual
