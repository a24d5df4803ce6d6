"""Scenarios as finance writes them: what is sold, to whom, what is used, and what must come out."""

import re
from datetime import datetime
from typing import Annotated, Any

import msgspec

from aforo.errors import FieldError, Refused

Body = dict[str, Any]
MAX_EVENTS = 1_000_000  # of one scenario: a minute of work
SEEDS = -(2**63), 2**63 - 1  # what a column of the database holds
_SAID_WHERE = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_SAID_WHICH = re.compile(r"(missing required|contains unknown) field `(?P<name>[^`]*)`")


class Spread(msgspec.Struct, forbid_unknown_fields=True):
    """Quantities drawn evenly from `least` to `most`, with so many decimals."""

    least: str
    most: str
    places: int = 0


class UsageStep(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """`events` alike but for what is drawn, spread evenly over [`from_`, `to`).

    Lists in `metadata` are drawn from. `duplicates` of them are sent once more.
    """

    customer: str
    metric: str
    events: int
    quantity: str | Spread = "1"
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    metadata: Body = {}
    duplicates: int = 0
    skew_seconds: int = 0


class CallStep(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A request of an operator. `as_` names what it made, so that `$name` is its id."""

    request: str
    body: Body = {}
    as_: str | None = msgspec.field(default=None, name="as")
    status: int | None = None


class Expectation(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What must hold now. Members that are named must be as they say; others are not looked at.

    `invoices` are those made since the last expectation of invoices, all of them.
    """

    usage: dict[str, int] | None = None
    refusals: dict[str, int] | None = None
    invoices: list[Body] | None = None
    totals: list[Body] | None = None
    get: str | None = None
    is_: Any = msgspec.field(default=None, name="is")


class Step(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """One thing that happens: exactly one of its members but `name` is there."""

    name: str = ""
    usage: UsageStep | None = None
    events: list[Body] | None = None
    replay: bool | None = None
    clock: datetime | None = None
    bill: Body | None = None
    call: CallStep | None = None
    expect: Expectation | None = None

    @property
    def verb(self) -> str:
        """Which of its members is there."""
        return next(name for name in _VERBS if getattr(self, name) is not None)


_VERBS = ("usage", "events", "replay", "clock", "bill", "call", "expect")


class Scenario(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The whole of it. What is sold is written as the API takes it; `$section.name` is an id."""

    name: str
    clock: datetime
    steps: list[Step]
    description: str = ""
    currency: str = "USD"
    time_zone: str = "UTC"
    country: str = ""
    seed: Annotated[int, msgspec.Meta(ge=SEEDS[0], le=SEEDS[1])] = 1
    billing_entity: Body = {}
    tax_rates: list[Body] = []
    metrics: list[Body] = []
    rate_plans: list[Body] = []
    offerings: list[Body] = []
    customers: list[Body] = []
    coupons: list[Body] = []
    subscriptions: list[Body] = []
    contracts: list[Body] = []


def parse(text: bytes | str) -> Scenario:
    """The scenario of a JSON text; Refused (422) names the field where it is none."""
    try:
        return _checked(msgspec.json.decode(text, type=Scenario))
    except msgspec.DecodeError as error:
        raise _no_scenario(str(error)) from None


def of_mapping(mapping: object) -> Scenario:
    """The same of what has been decoded already."""
    return parse(msgspec.json.encode(mapping))


def _no_scenario(reason: str) -> Refused:
    """What msgspec says, with the place that it names as the field."""
    place, member = _SAID_WHERE.search(reason), _SAID_WHICH.search(reason)
    path = [place["path"] if place else "", member["name"] if member else ""]
    field = ".".join(filter(None, path)) or "scenario"
    message = _SAID_WHERE.sub("", reason)
    return Refused(
        f"this is no scenario: {field}: {message}",
        code="INVALID_SCENARIO",
        errors=(FieldError(field, "INVALID", message),),
    )


def _checked(scenario: Scenario) -> Scenario:
    for index, step in enumerate(scenario.steps):
        given = [name for name in _VERBS if getattr(step, name) is not None]
        if len(given) != 1:
            named = f"one of {', '.join(_VERBS)}"
            raise Refused.naming(f"steps[{index}]", "INVALID", f"a step is exactly {named}")
    moments = [scenario.clock, *(step.clock for step in scenario.steps if step.clock)]
    if any(moment.tzinfo is None for moment in moments):
        raise Refused.naming("clock", "INVALID", "times name their zone, such as Z")
    events = sum(step.usage.events for step in scenario.steps if step.usage)
    if events > MAX_EVENTS:
        raise Refused.naming("steps", "TOO_MANY", f"{MAX_EVENTS:,} events at most")
    return scenario
