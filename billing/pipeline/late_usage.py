"""Late usage: what billed totals of earlier periods have taken since, one line per total.

Part of the Rate stage. An adjustment is `price(all) - price(what was billed)`, whatever else the
invoice holds; one below zero (taken back usage, a cheaper volume tier) is a line below zero.
"""

from dataclasses import replace
from decimal import Decimal

from aforo.money import EXACT, ZERO, Money, divide, plain
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts, LateFact, PlanFact
from billing.pipeline.lines import prorated, short, unit_subject
from catalog.pricing import Charge


def add_late_usage(draft: Draft, facts: Facts) -> Draft:
    """Add what adds first, then every credit for which the lines of its plan leave room.

    No invoice can ask for less than nothing. A credit without room is left out as a whole, and
    waits for the next invoice of the subscription: its events stay above the watermark.
    """
    lines = [_line(fact, facts.currency) for fact in facts.late]
    for line in sorted(lines, key=_is_credit):
        if _is_credit(line) and _room(line, draft, facts) + line.amount.amount < ZERO:
            draft = _deferring(draft, line)
        else:
            draft = draft.adding(line)
    return draft


def _room(line: Line, draft: Draft, facts: Facts) -> Decimal:
    """What a credit may take away without eating into a discount that is still to be granted."""
    for plan in facts.plans:
        if plan.version_id == line.version_id:
            own = draft.total(version_id=plan.version_id, own_period=True)
            late = EXACT.subtract(draft.total(version_id=plan.version_id), own)
            lifted = max(own, prorated(plan.minimum_spend, facts))
            return EXACT.subtract(EXACT.add(lifted, late), _before_percent(plan))
    return draft.total()


def _before_percent(plan: PlanFact) -> Decimal:
    """The part of a plan's lines that its fixed discount will take, its percentage taken before."""
    kept = EXACT.subtract(Decimal(100), plan.discount_percent)
    if not plan.discount_amount or not kept:
        return ZERO
    return divide(EXACT.multiply(plan.discount_amount, Decimal(100)), kept)


def _is_credit(line: Line) -> bool:
    return line.amount.amount < ZERO


def _deferring(draft: Draft, line: Line) -> Draft:
    assert line.late is not None  # noqa: S101 - it was made from one
    waits = f"{line.description}: {plain(line.amount.amount)} waits for an invoice with room for it"
    return replace(draft, deferred=(*draft.deferred, line.late.running_total_id)).noting(waits)


def _line(fact: LateFact, currency: str) -> Line:
    after, before = fact.terms.charge(fact.after), fact.terms.charge(fact.before)
    exact_amount = EXACT.subtract(after, before)
    return Line(
        stage="Rate",
        type=LineType.USAGE_FEE,
        description=f"{short(fact.plan_name)}: {unit_subject(fact)}, adjustment",
        amount=Money(exact_amount, currency).rounded(),
        exact_amount=exact_amount,
        version_id=fact.version_id,
        unit_id=fact.unit_id,
        quantity=EXACT.subtract(fact.after.quantity, fact.before.quantity),
        charges=_charges(fact, after, before),
        late=fact,
    )


def _charges(fact: LateFact, after: Decimal, before: Decimal) -> tuple[Charge, ...]:
    return (
        Charge.fee("all usage of the period", after, quantity=fact.after.quantity),
        Charge.fee(
            "billed before", EXACT.minus(before), quantity=EXACT.minus(fact.before.quantity)
        ),
    )
