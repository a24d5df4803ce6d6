"""Late usage: what billed totals of earlier periods have taken since, one line per total.

Part of the Rate stage. An adjustment is `price(all) - price(what was billed)`, whatever else the
invoice holds; one below zero (taken back usage, a cheaper volume tier) is a line below zero.
"""

from dataclasses import replace
from decimal import Decimal

from aforo.money import EXACT, ZERO, Money, plain
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts, LateFact
from billing.pipeline.lines import short, unit_subject
from billing.pipeline.room import gathered, has_room_for
from catalog.pricing import Charge


def add_late_charges(draft: Draft, facts: Facts) -> Draft:
    """Add the adjustments that are not below zero."""
    return draft.adding(*(line for line in _lines(facts) if not _is_credit(line)))


def add_late_credits(draft: Draft, facts: Facts) -> Draft:
    """Add every credit for which the lines of its plan, and all lines together, leave room.

    No invoice can ask for less than nothing. A credit without room is left out as a whole, and
    waits for the next invoice of the subscription: its events stay above the watermark.
    """
    gist = gathered(draft)  # a thousand credits are not tried on a thousand lines each
    for line in filter(_is_credit, _lines(facts)):
        if has_room_for(line, gist, facts):
            draft, gist = draft.adding(line), gathered(gist.adding(line))
        else:
            draft = _deferring(draft, line)
    return draft


def _lines(facts: Facts) -> tuple[Line, ...]:
    return tuple(_line(fact, facts.currency) for fact in facts.late)


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
        terms=fact.terms,
        tax_code=fact.tax_code,
    )


def _charges(fact: LateFact, after: Decimal, before: Decimal) -> tuple[Charge, ...]:
    return (
        Charge.fee("all usage of the period", after, quantity=fact.after.quantity),
        Charge.fee(
            "billed before", EXACT.minus(before), quantity=EXACT.minus(fact.before.quantity)
        ),
    )
