"""Commit: nobody who promised a minimum spend is invoiced for less, nobody for more than a cap."""

from decimal import Decimal

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.commitments import Commitment, commitments_in
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts
from billing.pipeline.lines import line_of, short


def apply_commitment(draft: Draft, facts: Facts) -> Draft:
    """Lift what a plan or all of them come to, to its minimum; take off what is above a maximum.

    Each plan by its own lines first, then what the contract says of all lines together. Late usage
    of an earlier period helps nobody to meet the minimum of this one, and no maximum of this one
    holds for it; those of a term count it as they count its period. A credit never goes below a
    minimum, nor below an invoice of zero.
    """
    for commitment in commitments_in(facts):
        draft = _topped(draft, commitment, facts)
    return draft


def _topped(draft: Draft, commitment: Commitment, facts: Facts) -> Draft:
    spent = commitment.spent(draft)
    if commitment.minimum > ZERO:
        draft = draft.noting(_note(commitment, spent, "minimum", commitment.minimum))
        true_up = _line(
            commitment,
            facts,
            LineType.CHARGE,
            "true-up to minimum spend",
            EXACT.subtract(commitment.minimum, spent),
        )
        if true_up.amount.amount > ZERO:  # less than half a minor unit short is met
            draft = draft.adding(true_up)
    if commitment.maximum is None:
        return draft
    draft = draft.noting(_note(commitment, spent, "maximum", commitment.maximum))
    return _capped(draft, commitment, facts)


def _capped(draft: Draft, commitment: Commitment, facts: Facts) -> Draft:
    assert commitment.maximum is not None  # noqa: S101 - the caller looked
    limit = max(commitment.maximum, commitment.floor)
    excess = EXACT.subtract(commitment.spent(draft), limit)
    room = max(ZERO, min(draft.total(), draft.total(version_id=commitment.version_id)))
    credit = _line(
        commitment,
        facts,
        LineType.CREDIT,
        "above the maximum spend",
        EXACT.minus(max(ZERO, min(excess, room))),
    )
    draft = draft.losing(credit, excess)
    return draft.adding(credit) if credit.amount.amount < ZERO else draft


def _line(
    commitment: Commitment, facts: Facts, line_type: LineType, subject: str, amount: Decimal
) -> Line:
    return line_of(
        commitment.owner,
        facts,
        stage="Commit",
        line_type=line_type,
        subject=f"{subject}{commitment.scope}{commitment.clause}",
        exact_amount=amount,
        version_id=commitment.version_id,
        tax_code=commitment.tax_code,
    )


def _note(commitment: Commitment, spent: Decimal, bound: str, amount: Decimal) -> str:
    said = f"spent {plain(spent)} of a {bound} of {plain(amount)}"
    return f"{short(commitment.owner)}: {said}{commitment.scope}"
