"""Commitments: who has promised to spend how much, and to be asked for no more than how much."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from billing.pipeline.draft import Draft, Line
from billing.pipeline.facts import ContractFact, Facts, PlanFact
from billing.pipeline.fee_facts import PaidFact
from billing.pipeline.shares import Share


@dataclass(frozen=True, slots=True)
class Commitment:
    """A minimum and a maximum, scaled to the period, for one plan's lines or (None) for all.

    `before` is what counts as spent already. Of a term, from its start to that of the period, what
    earlier periods are billed for here counts as well. No credit goes below `floor`.
    """

    owner: str
    version_id: UUID | None
    minimum: Decimal
    maximum: Decimal | None
    floor: Decimal = ZERO
    before: Decimal = ZERO
    scope: str = ""
    clause: str = ""
    tax_code: str = ""
    earlier: tuple[datetime, datetime] | None = None

    def spent(self, draft: Draft) -> Decimal:
        """What the period's own lines come to, and what counts beside them."""
        own = draft.total(version_id=self.version_id, own_period=True)
        return EXACT.add(own, self.beside(draft))

    def beside(self, draft: Draft) -> Decimal:
        """What was spent before, and late usage and unused fees as far as they count."""
        late = (line.amount.amount for line in draft.lines if self._is_earlier(line))
        return EXACT.add(self.before, _sum(late))

    def _is_earlier(self, line: Line) -> bool:
        if self.earlier is None:
            return False
        since, until = self.earlier
        if line.late is not None:
            return line.late.period_start >= since
        return line.covers is not None and since <= line.covers[0] < until


def commitments_in(facts: Facts) -> Iterator[Commitment]:
    """Plan by plan, then those of the contract over all plans, for the period and for the term.

    What a contract says of a period replaces what the plans say; what it leaves out stays theirs.
    An opening invoice asks for nothing of the kind: its period has only begun.
    """
    if facts.is_opening:
        return
    contract = facts.contract
    plans = [_of_plan(plan, contract, facts) for plan in facts.plans]
    yield from (one for one in plans if one.minimum > ZERO or one.maximum is not None)
    if contract is not None:
        floor = _sum(one.minimum for one in plans)
        period = _of_contract(contract, facts, floor)
        if period.minimum > ZERO or period.maximum is not None:
            yield period
        if contract.term_maximum is not None or (contract.ends_term and contract.term_minimum):
            yield _of_term(contract, facts)


def share_of_contract(facts: Facts) -> Share:
    """A contract's spends are prorated by days where all plans are."""
    return facts.share(by_days=bool(facts.plans) and all(plan.by_days for plan in facts.plans))


def _of_plan(plan: PlanFact, contract: ContractFact | None, facts: Facts) -> Commitment:
    share = facts.share(by_days=plan.by_days)
    has_minimum = contract is None or contract.minimum_spend is None
    has_maximum = contract is None or contract.maximum_spend is None
    minimum = share.of(plan.minimum_spend) if has_minimum else ZERO
    maximum = plan.maximum_spend if has_maximum else None
    return Commitment(
        owner=plan.name,
        version_id=plan.version_id,
        minimum=minimum,
        maximum=None if maximum is None else share.of(maximum),
        floor=minimum,
        before=_paid(one for one in facts.paid if one.fee.version_id == plan.version_id),
        clause=share.clause,
        tax_code=plan.tax_code,
    )


def _of_contract(contract: ContractFact, facts: Facts, floor: Decimal) -> Commitment:
    share = share_of_contract(facts)
    minimum = share.of(contract.minimum_spend or ZERO)
    maximum = contract.maximum_spend
    return Commitment(
        owner=contract.name,
        version_id=None,
        minimum=minimum,
        maximum=None if maximum is None else share.of(maximum),
        floor=max(floor, minimum),
        before=_paid(facts.paid),
        clause=share.clause,
    )


def _of_term(contract: ContractFact, facts: Facts) -> Commitment:
    since = contract.term_start
    return Commitment(
        owner=contract.name,
        version_id=None,
        minimum=contract.term_minimum if contract.ends_term else ZERO,
        maximum=contract.term_maximum,
        before=contract.term_spent,
        scope=" of the term",
        earlier=None if since is None else (since, facts.period_start),
    )


def _paid(paid: Iterator[PaidFact] | tuple[PaidFact, ...]) -> Decimal:
    return _sum(one.amount for one in paid)


def _sum(amounts: Iterator[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
