"""Room: how much a credit may take off an invoice without eating into what is still to be granted.

A discount is lost where nothing is left to take it off, and so is a credit for what was asked for
before; what is given back of fees, and credits for late usage, can wait. Whether a discount would
be lost is what the Commit and the Discount stage say of a draft, so they are asked.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from aforo.money import EXACT, ZERO, minor_units
from billing.pipeline.commit import apply_commitment
from billing.pipeline.discount import apply_discounts
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts


def has_room_for(line: Line, draft: Draft, facts: Facts) -> bool:
    """Whether the lines of a credit's own plan, if it still has that plan, and all leave room."""
    draft = gathered(draft)
    after = _discounted(draft.adding(line), facts)
    if any(plan.version_id == line.version_id for plan in facts.plans):
        own = after.total(version_id=line.version_id)
        if own < ZERO:
            return False
    return _loses_nothing(after, _discounted(draft, facts))


def largest_refund(
    wanted: Decimal, line_of: Callable[[Decimal], Line], draft: Draft, facts: Facts
) -> Decimal:
    """All that is `wanted`, or else the most whole minor units of it that there is room for.

    `line_of` makes the line that gives an amount back.
    """
    draft = gathered(draft)
    before = _discounted(draft, facts)

    def fits(amount: Decimal) -> bool:
        return _loses_nothing(_discounted(draft.adding(line_of(amount)), facts), before)

    if fits(wanted):
        return wanted
    scale = minor_units(facts.currency)
    known, too_much = 0, int(EXACT.scaleb(wanted, scale)) + 1
    while too_much - known > 1:
        middle = (known + too_much) // 2
        if fits(EXACT.scaleb(Decimal(middle), -scale)):
            known = middle
        else:
            too_much = middle
    return EXACT.scaleb(Decimal(known), -scale)


def gathered(draft: Draft) -> Draft:
    """The draft with one line for all that discounts and commitments cannot tell apart."""
    found: dict[object, Line] = {}
    for number, line in enumerate(draft.lines):
        since = None if line.late is None else line.late.period_start
        apart = number if line.type is LineType.PRORATION else None
        alike = (line.version_id, since, line.covers, line.ahead, apart)
        known = found.get(alike)
        found[alike] = line if known is None else replace(line, amount=known.amount + line.amount)
    return replace(draft, lines=tuple(found.values()))


def _discounted(draft: Draft, facts: Facts) -> Draft:
    return apply_discounts(apply_commitment(draft, facts), facts)


def _loses_nothing(after: Draft, before: Draft) -> bool:
    """Whether it is not below zero, and has room for all that there was room for before."""
    known = dict(before.lost)
    return after.total() >= ZERO and all(
        amount <= known.get(what, ZERO) for what, amount in after.lost
    )
