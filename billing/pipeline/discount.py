"""Discount: each plan's own, first the percentage, then the fixed amount, never below nothing."""

from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Facts, LineType, PlanFact
from billing.pipeline.lines import plan_line


def apply_discounts(draft: Draft, facts: Facts) -> Draft:
    """Take each discount off what its plan's lines, true-up included, still come to.

    A fixed amount is granted in full, also in a partial period, as far as there is something to
    take it off. One plan's discount never eats into what another plan's lines come to.
    """
    for plan in facts.plans:
        if plan.discount_percent > ZERO:
            subtotal = draft.total(version_id=plan.version_id)
            share = EXACT.multiply(subtotal, EXACT.scaleb(plan.discount_percent, -2))
            subject = f"discount of {plain(plan.discount_percent)} %"
            draft = _granting(draft, facts, plan, subject, share)
        if plan.discount_amount > ZERO:
            draft = _granting(draft, facts, plan, "discount", plan.discount_amount)
    return draft


def _granting(draft: Draft, facts: Facts, plan: PlanFact, subject: str, wanted: Decimal) -> Draft:
    left = max(ZERO, min(draft.total(), draft.total(version_id=plan.version_id)))
    line = plan_line(
        plan,
        facts,
        stage="Discount",
        line_type=LineType.DISCOUNT,
        subject=subject,
        exact_amount=EXACT.minus(min(wanted, left)),
    )
    if wanted > left:
        draft = draft.noting(f"{line.description}: {plain(wanted)} held to {plain(left)}")
    return draft.adding(line) if line.amount.amount < ZERO else draft
