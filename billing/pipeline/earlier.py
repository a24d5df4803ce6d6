"""Earlier invoices of the same period: what they have asked for already is not asked for again.

Part of the Discount stage: the invoice of the period is first what a single one would have been.
"""

from dataclasses import replace
from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import EarlierFact, Facts
from billing.pipeline.lines import line_of


def take_off_earlier(draft: Draft, facts: Facts) -> Draft:
    """A credit per earlier invoice, so that all of them together come to the single one.

    What one gave back, of another tax code than what it asked for, is a charge, and comes first.
    No invoice is below zero: where usage was taken back since, or more of it made all of it
    cheaper, the rest of a credit is noted and waits for a credit note.
    """
    for earlier in facts.earlier:
        if earlier.amount < ZERO:
            line = _line(earlier, facts, EXACT.minus(earlier.amount))
            draft = draft.adding(replace(line, type=LineType.CHARGE))
    for earlier in facts.earlier:
        if earlier.amount < ZERO:
            continue
        left = max(ZERO, draft.total())
        line = _line(earlier, facts, EXACT.minus(min(earlier.amount, left)))
        if earlier.amount > left:
            draft = draft.noting(
                f"{line.description}: {plain(earlier.amount)} held to {plain(left)}"
            )
        draft = draft.losing(line, earlier.amount)
        if line.amount.amount < ZERO:
            draft = draft.adding(line)
    return draft


def _line(earlier: EarlierFact, facts: Facts, amount: Decimal) -> Line:
    return line_of(
        "Usage so far",
        facts,
        stage="Discount",
        line_type=LineType.CREDIT,
        subject=f"asked for with {earlier.number or 'an earlier invoice'}",
        exact_amount=amount,
        tax_code=earlier.tax_code,
    )
