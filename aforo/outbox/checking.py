"""Whether a payload is what its kind promises; asked by tests and while developing."""

from collections.abc import Mapping
from functools import cache

from jsonschema import Draft202012Validator

from aforo.outbox.facts import facts


class UnknownFact(ValueError):
    """Nobody wrote down what this fact is."""


class UnlikeItsSchema(ValueError):
    """A payload that whoever reads the schema would not expect."""


def require_valid(fact: str, payload: Mapping[str, object]) -> None:
    """Raise UnknownFact, or UnlikeItsSchema, unless `payload` is as `fact` promises."""
    if fact not in facts():
        raise UnknownFact(f"{fact!r} has no file aforo/outbox/facts/{fact}.json")
    error = next(_validator(fact).iter_errors(payload), None)
    if error is not None:
        raise UnlikeItsSchema(f"{fact}: {error.json_path}: {error.message}")


@cache
def _validator(fact: str) -> Draft202012Validator:
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(facts()[fact].schema, format_checker=checker)
