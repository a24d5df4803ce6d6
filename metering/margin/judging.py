"""What guards say of customers: pure, from slices that were read and guards that were chosen."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

from metering.margin.arithmetic import Level, Margin, Reason, Thresholds, Verdict
from metering.margin.slices import Slice
from metering.models import MarginGuard

Pair = tuple[UUID, UUID]
"""Guard and customer."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A guard as it is judged by: whom it looks at, and how far a margin may fall."""

    guard_id: UUID
    unit_id: UUID | None
    scope: str
    thresholds: Thresholds
    plan_id: UUID | None = None
    customer_id: UUID | None = None
    cohort: str = ""
    cohort_value: str = ""
    floors: Mapping[UUID, Decimal] = field(default_factory=dict)  # by plan

    def takes(self, customer_id: UUID, known: "Known") -> bool:
        """Whether a customer is in its scope."""
        scopes = MarginGuard.Scope
        match self.scope:
            case scopes.CUSTOMER:
                return customer_id == self.customer_id
            case scopes.PLAN:
                return self.plan_id in known.plans[customer_id]
            case scopes.COHORT if self.cohort == MarginGuard.Cohort.TAG:
                return self.cohort_value in known.tags.get(customer_id, ())
            case scopes.COHORT:
                return self.cohort_value in known.months[customer_id]
            case _:
                return True

    def thresholds_for(self, plans: Iterable[UUID | None]) -> Thresholds:
        """Those of the highest floor of a customer's plans, else the guard's own."""
        floors = [self.floors[plan] for plan in plans if plan is not None and plan in self.floors]
        return self.thresholds.lifted_to(max(floors, default=None))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a guard says of a customer, in the currency where the margin is worst."""

    verdict: Verdict
    currency: str
    margin: Margin
    thresholds: Thresholds

    @property
    def level(self) -> Level:
        return self.verdict.level

    @property
    def threshold(self) -> Decimal | None:
        """The percentage that the margin has fallen below, if any."""
        return self.thresholds.of(self.level)


class Known:
    """Slices summed up the ways that guards look at them."""

    def __init__(self, slices: Iterable[Slice], tags: Mapping[UUID, Iterable[str]]) -> None:
        self.whole: defaultdict[tuple[UUID, str], Margin] = defaultdict(Margin)
        self.by_unit: defaultdict[UUID, defaultdict[tuple[UUID, str], Margin]]
        self.by_unit = defaultdict(lambda: defaultdict(Margin))
        self.plans: defaultdict[UUID, set[UUID | None]] = defaultdict(set)
        self.months: defaultdict[UUID, set[str]] = defaultdict(set)
        self.tags = tags
        self._current: set[tuple[UUID, str]] = set()
        for one in slices:
            customer_id = one.book.customer_id
            key = (customer_id, one.book.currency)
            self.whole[key] += one.margin
            if not (one.is_over or one.is_foreign):
                self._current.add(key)
            if one.unit_id is not None:
                self.by_unit[one.unit_id][key] += one.margin
            if not one.is_over:  # who has left a plan is not in its scope
                self.plans[customer_id].add(one.plan_id)
                self.months[customer_id].add(f"{one.book.subscribed_at:%Y-%m}")
        self._paying = {key[0] for key in self._current if self.whole[key].has_revenue}

    def is_beside_revenue(self, customer_id: UUID, currency: str) -> bool:
        """A currency that nothing which runs is paid in, while something is paid in another."""
        return (customer_id, currency) not in self._current and customer_id in self._paying

    def margins_for(self, rule: Rule) -> Mapping[tuple[UUID, str], Margin]:
        """By customer and currency, of everything or of the rule's unit."""
        if rule.unit_id is None:
            return self.whole
        return self.by_unit.get(rule.unit_id, {})


def judge(rules: Iterable[Rule], known: Known) -> dict[Pair, Judged]:
    """What each rule says of each customer in its scope who uses what it looks at."""
    found: dict[Pair, Judged] = {}
    for rule in rules:
        for customer_id, judged in _by(rule, known):
            before = found.get((rule.guard_id, customer_id))
            if before is None or _is_worse(judged, before):
                found[rule.guard_id, customer_id] = judged
    return found


def _by(rule: Rule, known: Known) -> Iterator[tuple[UUID, Judged]]:
    for (customer_id, currency), margin in known.margins_for(rule).items():
        if rule.takes(customer_id, known):
            thresholds = rule.thresholds_for(known.plans[customer_id])
            verdict = thresholds.judge(margin)
            if verdict.level.rank > 1 and known.is_beside_revenue(customer_id, currency):
                verdict = replace(verdict, level=Level.L1_ALERT)  # nobody knows how it compares
            yield customer_id, Judged(verdict, currency, margin, thresholds)


def _is_worse(one: Judged, other: Judged) -> bool:
    if one.level != other.level:
        return one.level.rank > other.level.rank
    return one.margin.profit < other.margin.profit


RELEASED = Verdict(Level.NONE, Reason.RELEASED)
