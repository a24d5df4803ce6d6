"""Discount: each plan's own, first the percentage, then the fixed amount, never below nothing."""

from decimal import Decimal

from aforo.money import EXACT, ZERO, Money, plain
from billing.pipeline.draft import Draft, LineType
from billing.pipeline.facts import Facts, PlanFact
from billing.pipeline.lines import plan_line


def apply_discounts(draft: Draft, facts: Facts) -> Draft:
    """Take each discount off what its plan's lines, true-up included, still come to.

    A fixed amount is granted in full, also in a partial period, as far as there is something to
    take it off. One plan's discount never eats into what another plan's lines come to.
    Percentages hold for late usage too; a fixed amount is per period, and was granted in its own.
    """
    for plan in facts.plans:
        late = _late(draft, plan)
        if plan.discount_percent > ZERO:
            subtotal = draft.total(version_id=plan.version_id)
            share = _share(subtotal, plan)
            subject = f"discount of {plain(plan.discount_percent)} %"
            draft = _granting(draft, facts, plan, subject=subject, wanted=share)
            late = Money(EXACT.subtract(late, _share(late, plan)), facts.currency).rounded().amount
        if plan.discount_amount > ZERO:
            draft = _granting(
                draft,
                facts,
                plan,
                subject="discount",
                wanted=plan.discount_amount,
                spared=max(ZERO, late),
            )
    return draft


def _late(draft: Draft, plan: PlanFact) -> Decimal:
    """What the plan's lines of earlier periods come to."""
    everything = draft.total(version_id=plan.version_id)
    return EXACT.subtract(everything, draft.total(version_id=plan.version_id, own_period=True))


def _share(amount: Decimal, plan: PlanFact) -> Decimal:
    return EXACT.multiply(amount, EXACT.scaleb(plan.discount_percent, -2))


def _granting(
    draft: Draft,
    facts: Facts,
    plan: PlanFact,
    *,
    subject: str,
    wanted: Decimal,
    spared: Decimal = ZERO,
) -> Draft:
    """Grant what is wanted as far as the plan's lines, but for what is spared, come to it."""
    own = EXACT.subtract(draft.total(version_id=plan.version_id), spared)
    left = max(ZERO, min(draft.total(), own))
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
