"""Running a scenario, step by step, and saying what came of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from billing.simulations import traffic
from billing.simulations.billing_steps import bill_by_the_clock, bill_everything
from billing.simulations.expectations import Finding
from billing.simulations.outcomes import Outcomes
from billing.simulations.scenario import Body, CallStep, Scenario, Step, UsageStep
from billing.simulations.world import World, undone_world

Tell = Callable[[int], None]

# What a scenario says is sold and to whom: section, route, and the member that names each of it.
_SECTIONS = (
    ("tax_rates", "/api/v1/tax-rates", "name"),
    ("metrics", "/api/v1/metrics", "name"),
    ("rate_plans", "/api/v1/rateplans", "name"),
    ("offerings", "/api/v1/offerings", "code"),
    ("customers", "/api/v1/customers", "externalId"),
    ("coupons", "/api/v1/coupons", "code"),
    ("subscriptions", "/api/v1/subscriptions", "as"),
    ("contracts", "/api/v1/contracts", "name"),
)
NOBODY = UUID(int=0)  # the first of an empty page: whatever is asked of it is 404
_SPELLED = {"tax_rates": "taxRates", "rate_plans": "ratePlans"}


@dataclass(slots=True)
class Report:
    """What came out: the same scenario and seed make the same report, byte for byte."""

    name: str
    seed: int
    findings: list[Finding] = field(default_factory=list)
    invoices: list[Body] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "seed": self.seed,
            "verdict": "PASS" if self.passed else "FAIL",
            "expectations": [finding.as_dict() for finding in self.findings],
            "usage": self.usage,
            "invoices": self.invoices,
        }


def run(scenario: Scenario, *, tell: Tell = lambda _: None) -> Report:
    """Run all of it and undo it again; `tell` hears how many percent of the steps are done.

    Raises Refused (422) for a step that a route refuses, unless the scenario expects that.
    """
    report = Report(scenario.name, scenario.seed)
    with undone_world(scenario) as world:
        _Run(scenario, world, report).play(tell)
    return report


class _Run:
    """One scenario on its way through its steps."""

    def __init__(self, scenario: Scenario, world: World, report: Report) -> None:
        self.scenario, self.world, self.report = scenario, world, report
        self.outcomes = Outcomes(world)
        self.last_sent: tuple[UsageStep, int] | None = None

    def play(self, tell: Tell) -> None:
        self._open()
        steps = self.scenario.steps
        for index, step in enumerate(steps):
            getattr(self, f"_{step.verb}")(step, index)
            tell(100 * (index + 1) // len(steps))
        self.world.drain()
        self.report.usage = self.outcomes.usage()
        self.report.invoices = self.outcomes.told_invoices()

    def _open(self) -> None:
        if self.scenario.billing_entity:
            self._change_entity(self.scenario.billing_entity)
        for section, route, named_by in _SECTIONS:
            for row in getattr(self.scenario, section):
                body = self._resolved(row)
                name = body.pop(named_by) if named_by == "as" else body[named_by]
                made = self.world.operator.post(route, body).required(f"{section} {name!r}")
                self._name(f"{_SPELLED.get(section, section)}.{name}", made)

    def _change_entity(self, body: Body) -> None:
        page = self.world.operator.get("/api/v1/billing-entities").required("billing entities")
        path = f"/api/v1/billing-entities/{page['content'][0]['id']}"
        self.world.operator.send("PATCH", path, traffic.encoded(body)).required("billing entity")

    def _name(self, name: str, made: object) -> None:
        if isinstance(made, Mapping):
            entity = made.get("data", made)
            if "content" in entity:  # a page names the first that is on it
                entity = next(iter(entity["content"]), {"id": NOBODY})
            found = entity.get("id") or entity.get("couponId") or entity.get("redemptionId")
            self.world.ids[name] = str(found)

    def _usage(self, step: Step, index: int) -> None:
        assert step.usage is not None  # noqa: S101 - its verb
        self._send(step.usage, index)
        self.last_sent = step.usage, index

    def _send(self, usage: UsageStep, index: int) -> None:
        if (moment := traffic.ends_at(usage, self.world.now)) > self.world.now:
            self.world.move_clock(moment)
        seed, now = self.scenario.seed, self.world.now
        for body in traffic.bodies(usage, step=index, seed=seed, now=now):
            self.world.send(body)

    def _replay(self, step: Step, index: int) -> None:
        """What was sent last, sent again as it was."""
        if self.last_sent is not None:
            self._send(*self.last_sent)

    def _events(self, step: Step, index: int) -> None:
        self.world.send(traffic.encoded({"events": step.events}))

    def _clock(self, step: Step, index: int) -> None:
        assert step.clock is not None  # noqa: S101 - its verb
        self.world.move_clock(step.clock)
        bill_by_the_clock(self.world)

    def _bill(self, step: Step, index: int) -> None:
        self.world.drain()
        bill_everything(self.world, finalize=bool((step.bill or {}).get("finalize", True)))

    def _call(self, step: Step, index: int) -> None:
        assert step.call is not None  # noqa: S101 - its verb
        self.world.drain()
        call: CallStep = self._call_of(step.call)
        method, _, path = call.request.partition(" ")
        answer = self.world.operator.send(method, path, traffic.encoded(call.body))
        if call.status is not None:
            name = step.name or f"step {index + 1}: {step.call.request}"
            passed = answer.status == call.status
            self.report.findings.append(Finding(name, passed, call.status, answer.status))
        else:
            answer.required(f"steps[{index}]: {call.request}")
        if call.as_ and answer.is_good:
            self._name(call.as_, answer.body)

    def _call_of(self, call: CallStep) -> CallStep:
        return CallStep(
            self._resolved(call.request), self._resolved(call.body), call.as_, call.status
        )

    def _expect(self, step: Step, index: int) -> None:
        assert step.expect is not None  # noqa: S101 - its verb
        self.world.drain()
        name = step.name or f"step {index + 1}"
        asked = step.expect
        if asked.get is not None:
            asked.get = self._resolved(asked.get)
        self.report.findings += self.outcomes.judge(name, asked)

    def _resolved(self, value: Any) -> Any:
        """`value` with every `$name` in it replaced by the id of what is called so."""
        match value:
            case str():
                words = value.split(" ")
                return " ".join(self._path_resolved(word) for word in words)
            case dict():
                return {key: self._resolved(one) for key, one in value.items()}
            case list():
                return [self._resolved(one) for one in value]
            case _:
                return value

    def _path_resolved(self, word: str) -> str:
        if "$" not in word:
            return word
        parts = word.split("/")
        return "/".join(
            self.world.ids.get(part[1:], part) if part[:1] == "$" else part for part in parts
        )


def by_verdict(report: Report) -> Counter[str]:
    """How many expectations passed and failed."""
    return Counter("PASS" if finding.passed else "FAIL" for finding in report.findings)
