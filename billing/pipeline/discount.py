"""Discount: of each plan, of the contract, then coupons as they were redeemed; never below zero."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, Money, plain, round_to_minor
from billing.pipeline.discounts import Discount, discounts_in
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.earlier import take_off_earlier
from billing.pipeline.facts import Facts
from billing.pipeline.lines import line_of


def apply_discounts(draft: Draft, facts: Facts) -> Draft:
    """Take each discount off what its lines, true-ups included, still come to.

    A fixed amount is granted in full, also in a partial period, as far as there is something to
    take it off. One plan's discount never eats into what another plan's lines come to. Percentages
    hold for late usage too, also of plans that the period has no more; a fixed amount per period
    does not, it was granted in its own. What is given back of fees is less by what was taken off
    them when they were asked for; nothing else is of it, and no fixed amount of a plan is lost to
    it. What earlier invoices of the same period asked for is taken off last: they granted theirs.
    """
    charged = _by_plan(line for line in draft.lines if line.type is not LineType.PRORATION)
    late = _by_plan(line for line in draft.lines if line.late)
    ahead = _by_plan(line for line in draft.lines if line.ahead)
    discounts = discounts_in(facts)
    for discount in discounts:
        draft = _taking_back(draft, facts, discount)  # what adds, before all that takes off
    draft = draft.adding(*_taken_back(draft, facts))
    for discount in discounts:
        is_fixed = discount.per_period and discount.amount
        if facts.is_opening and is_fixed:
            continue  # it comes with the invoice of the period
        base = _base(draft, discount, charged, ahead)
        wanted = max(ZERO, discount.amount or _share(base, discount.percent))
        spared = max(ZERO, _sum_of(late, discount.version_id)) if is_fixed else ZERO
        left = max(ZERO, min(draft.total(), EXACT.subtract(base, spared)))
        line = _line(discount, facts, LineType.DISCOUNT, EXACT.minus(min(wanted, left)))
        draft = _granting(draft, discount, line, wanted=wanted, left=left)
        charged = _less(charged, discount, line, wanted=wanted)
        late = _reduced(late, discount, facts) if discount.of_period else late
        ahead = _reduced(ahead, discount, facts) if discount.of_next else ahead
    return take_off_earlier(draft, facts)


def _base(
    draft: Draft,
    discount: Discount,
    charged: dict[UUID | None, Decimal],
    ahead: dict[UUID | None, Decimal],
) -> Decimal:
    """What the lines come to that the discount is of: only a plan's percentage is of refunds."""
    if discount.is_of_refunds:
        return draft.total(version_id=discount.version_id)
    subtotal = _sum_of(charged, discount.version_id)
    if discount.of_period and discount.of_next:
        return subtotal
    fees = _sum_of(ahead, discount.version_id)
    return EXACT.subtract(subtotal, fees) if discount.of_period else fees


def _granting(
    draft: Draft, discount: Discount, line: Line, *, wanted: Decimal, left: Decimal
) -> Draft:
    """Grant what is wanted as far as there is something left to take it off."""
    if wanted > left:
        draft = draft.noting(f"{line.description}: {plain(wanted)} held to {plain(left)}")
    draft = draft.losing(line, wanted)
    if not line.amount.amount:
        return draft
    line = replace(line, ahead=discount.ahead)
    return _redeeming(draft.adding(line), discount, EXACT.minus(line.amount.amount))


def _less(
    charged: dict[UUID | None, Decimal], discount: Discount, line: Line, *, wanted: Decimal
) -> dict[UUID | None, Decimal]:
    """What is left of what was charged, as if nothing were given back beside it."""
    off = EXACT.minus(line.amount.amount)
    known = charged.get(discount.version_id, ZERO)
    if discount.is_of_refunds:
        currency = line.amount.currency
        missing = EXACT.subtract(round_to_minor(wanted, currency), off)
        whole = round_to_minor(_share(known, discount.percent), currency)
        off = EXACT.subtract(whole, missing)
    return charged | {discount.version_id: EXACT.subtract(known, off)}


def _taking_back(draft: Draft, facts: Facts, discount: Discount) -> Draft:
    """What a plan's lines give back was asked for with its percentage taken off."""
    base = draft.total(version_id=discount.version_id)
    if base >= ZERO or not discount.is_of_refunds:
        return draft
    off = EXACT.minus(_share(base, discount.percent))
    line = _line(discount, facts, LineType.CHARGE, off, " on what is given back")
    return draft.adding(line) if line.amount.amount else draft


def _line(
    discount: Discount, facts: Facts, line_type: LineType, amount: Decimal, clause: str = ""
) -> Line:
    return line_of(
        discount.owner,
        facts,
        stage="Discount",
        line_type=line_type,
        subject=f"{discount.subject}{clause}",
        exact_amount=amount,
        version_id=discount.version_id,
        tax_code=discount.tax_code,
    )


def _taken_back(draft: Draft, facts: Facts) -> Iterator[Line]:
    """What others than their plans had taken off the fees that are given back."""
    names = {one.fee.version_id: one.fee.plan_name for one in (*facts.paid, *facts.unreturned)}
    for line in draft.lines:
        if not line.taken_off or line.version_id is None:
            continue
        added = line_of(
            names[line.version_id],
            facts,
            stage="Discount",
            line_type=LineType.CHARGE,
            subject="discounts on what is given back",
            exact_amount=line.taken_off,
            tax_code=line.tax_code,
        )
        if added.amount.amount:
            yield replace(added, covers=line.covers)


def _redeeming(draft: Draft, discount: Discount, amount: Decimal) -> Draft:
    if discount.redemption_id is None:
        return draft
    return replace(draft, redeemed=(*draft.redeemed, (discount.redemption_id, amount)))


def _share(amount: Decimal, percent: Decimal) -> Decimal:
    return EXACT.multiply(amount, EXACT.scaleb(percent, -2))


def _by_plan(lines: Iterator[Line]) -> dict[UUID | None, Decimal]:
    """What they come to, by plan."""
    found: dict[UUID | None, Decimal] = {}
    for line in lines:
        known = found.get(line.version_id, ZERO)
        found[line.version_id] = EXACT.add(known, line.amount.amount)
    return found


def _sum_of(amounts: dict[UUID | None, Decimal], version_id: UUID | None) -> Decimal:
    if version_id is not None:
        return amounts.get(version_id, ZERO)
    total = ZERO
    for amount in amounts.values():
        total = EXACT.add(total, amount)
    return total


def _reduced(
    amounts: dict[UUID | None, Decimal], discount: Discount, facts: Facts
) -> dict[UUID | None, Decimal]:
    """What a percentage leaves of them."""
    if not discount.percent or not amounts:
        return amounts
    return {
        version_id: (
            Money(EXACT.subtract(amount, _share(amount, discount.percent)), facts.currency)
            .rounded()
            .amount
            if discount.version_id in {None, version_id}
            else amount
        )
        for version_id, amount in amounts.items()
    }
