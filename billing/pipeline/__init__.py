"""From running totals to an invoice in ten stages: pure functions of a draft and the facts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter_ns

from billing.pipeline.aggregate import aggregate_usage
from billing.pipeline.allowance import subtract_allowance
from billing.pipeline.commit import apply_commitment
from billing.pipeline.discount import apply_discounts
from billing.pipeline.draft import Draft, Line, LineType, Usage
from billing.pipeline.facts import (
    ContractFact,
    CouponFact,
    EarlierFact,
    Facts,
    GrantFact,
    LateFact,
    PlanFact,
    TaxFact,
    TaxRateFact,
    UsageFact,
)
from billing.pipeline.fee_facts import AdvanceFact, FeeFact, PaidFact
from billing.pipeline.quota_check import check_quota
from billing.pipeline.rate import rate_usage
from billing.pipeline.records import Record, snapshot
from billing.pipeline.rollover import add_rollover
from billing.pipeline.route import route_total
from billing.pipeline.settle import settle_invoice
from billing.pipeline.shares import Share
from billing.pipeline.tax import add_tax

__all__ = [
    "STAGES",
    "AdvanceFact",
    "ContractFact",
    "CouponFact",
    "Draft",
    "EarlierFact",
    "Facts",
    "FeeFact",
    "GrantFact",
    "LateFact",
    "Line",
    "LineType",
    "PaidFact",
    "PlanFact",
    "Record",
    "Result",
    "Share",
    "StageFailed",
    "TaxFact",
    "TaxRateFact",
    "Usage",
    "UsageFact",
    "run",
]

Stage = Callable[[Draft, Facts], Draft]

STAGES: tuple[tuple[str, Stage], ...] = (
    ("QuotaCheck", check_quota),  # first: what is beyond a cap was never for sale
    ("Rollover", add_rollover),  # before the allowance, of which carried-over units become a part
    ("Aggregate", aggregate_usage),  # after what the terms say, before what depends on a quantity
    ("Allowance", subtract_allowance),  # once, so that Rate sees billable units alone
    ("Rate", rate_usage),  # the first lines: whatever follows adds to them
    ("Commit", apply_commitment),  # before discounts: those may go below a minimum, usage may not
    ("Discount", apply_discounts),  # after the true-up, so that it is worth its percentage of all
    ("Tax", add_tax),  # on what is left to pay, discounts taken off
    ("Route", route_total),  # a wallet pays tax too
    ("Settle", settle_invoice),  # last: nothing may change once it is final
)


@dataclass(frozen=True, slots=True)
class Result:
    """The finished draft, and one record per stage in their order."""

    draft: Draft
    records: tuple[Record, ...]


class StageFailed(Exception):
    """A stage could not do its work on these facts: `stage` says which, `cause` why."""

    def __init__(self, stage: str, cause: Exception) -> None:
        super().__init__(stage, cause)
        self.stage = stage
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.stage}: {self.cause}"


def run(facts: Facts, *, clock: Callable[[], int] = perf_counter_ns) -> Result:
    """Run the ten stages. The same facts give the same result; `clock` (ns) only times them.

    Raises StageFailed, whatever went wrong.
    """
    draft = Draft(facts.currency, tuple(Usage(fact) for fact in facts.usage))
    before = snapshot(draft, facts)
    records = []
    for name, stage in STAGES:
        started = clock()
        draft = _apply(name, stage, replace(draft, notes=()), facts)
        microseconds = (clock() - started) // 1000
        after = snapshot(draft, facts)
        records.append(Record(name, before, after, draft.notes, microseconds))
        before = after
    return Result(replace(draft, notes=()), tuple(records))


def _apply(name: str, stage: Stage, draft: Draft, facts: Facts) -> Draft:
    try:
        return stage(draft, facts)
    except Exception as cause:
        raise StageFailed(name, cause) from cause
