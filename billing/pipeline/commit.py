"""Commit: nobody who promised a minimum spend is invoiced for less."""

from collections.abc import Iterator
from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts, PlanFact
from billing.pipeline.lines import plan_line, prorated, proration_clause, short


def apply_commitment(draft: Draft, facts: Facts) -> Draft:
    """Lift each plan's own lines to its minimum, prorated with the period; no line when met.

    Late usage of an earlier period helps nobody to meet the minimum of this one.
    """
    committed = [plan for plan in facts.plans if plan.minimum_spend > ZERO]
    if not committed:
        return draft
    return draft.adding(*_true_ups(committed, draft, facts)).noting(
        *(
            f"{short(plan.name)}: spent {plain(_spent(plan, draft))} "
            f"of a minimum of {plain(prorated(plan.minimum_spend, facts))}"
            for plan in committed
        )
    )


def _true_ups(committed: list[PlanFact], draft: Draft, facts: Facts) -> Iterator[Line]:
    for plan in committed:
        minimum = prorated(plan.minimum_spend, facts)
        line = plan_line(
            plan,
            facts,
            stage="Commit",
            line_type=LineType.CHARGE,
            subject=f"true-up to minimum spend{proration_clause(facts)}",
            exact_amount=EXACT.subtract(minimum, _spent(plan, draft)),
        )
        if line.amount.amount > ZERO:  # less than half a minor unit short is met
            yield line


def _spent(plan: PlanFact, draft: Draft) -> Decimal:
    return draft.total(version_id=plan.version_id, own_period=True)
