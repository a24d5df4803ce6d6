"""Earlier invoices of the same period: what they have asked for already is not asked for again.

Part of the Discount stage: the invoice of the period is first what a single one would have been.
"""

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, LineType
from billing.pipeline.facts import Facts
from billing.pipeline.lines import line_of


def take_off_earlier(draft: Draft, facts: Facts) -> Draft:
    """A credit per earlier invoice, so that all of them together come to the single one.

    No invoice is below zero: where usage was taken back since, or more of it made all of it
    cheaper, the rest of a credit is noted and waits for a credit note.
    """
    for earlier in facts.earlier:
        left = max(ZERO, draft.total())
        line = line_of(
            "Usage so far",
            facts,
            stage="Discount",
            line_type=LineType.CREDIT,
            subject=f"asked for with {earlier.number or 'an earlier invoice'}",
            exact_amount=EXACT.minus(min(earlier.amount, left)),
            tax_code=earlier.tax_code,
        )
        if earlier.amount > left:
            draft = draft.noting(
                f"{line.description}: {plain(earlier.amount)} held to {plain(left)}"
            )
        if line.amount.amount < ZERO:
            draft = draft.adding(line)
    return draft
