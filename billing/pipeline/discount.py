"""Discount: of each plan, of the contract, then coupons as they were redeemed; never below zero."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, Money, plain
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.earlier import take_off_earlier
from billing.pipeline.facts import Facts
from billing.pipeline.lines import line_of
from billing.pipeline.room import former_of, refunded


@dataclass(frozen=True, slots=True)
class Discount:
    """A percentage, or an amount, off the lines of one plan or (None) off all that is left.

    `per_period` amounts are granted in their own period and leave late usage of others alone.
    One that is not `of_period` is of the next period's fees alone, one that is not `of_next` of
    all but those.
    """

    owner: str
    version_id: UUID | None = None
    percent: Decimal = ZERO
    amount: Decimal = ZERO
    per_period: bool = True
    redemption_id: UUID | None = None
    tax_code: str = ""
    of_period: bool = True
    of_next: bool = True

    @property
    def ahead(self) -> bool | None:
        """Of the next period's fees alone, of all but those, or (None) of all."""
        return None if self.of_period and self.of_next else self.of_next

    @property
    def subject(self) -> str:
        return f"discount of {plain(self.percent)} %" if self.percent else "discount"


def apply_discounts(draft: Draft, facts: Facts) -> Draft:
    """Take each discount off what its lines, true-ups included, still come to.

    A fixed amount is granted in full, also in a partial period, as far as there is something to
    take it off. One plan's discount never eats into what another plan's lines come to. Percentages
    hold for late usage too, also of plans that the period has no more; a fixed amount per period
    does not, it was granted in its own. What is given back of fees is less by what was taken off
    them when they were asked for; no percentage of a contract or a coupon is of it. What earlier
    invoices of the same period asked for is taken off last: they granted theirs.
    """
    back = refunded(draft, facts)
    late = _by_plan(line for line in draft.lines if line.late)
    ahead = _by_plan(line for line in draft.lines if line.ahead)
    for discount in _in_order(facts):
        draft = _taking_back(draft, facts, discount)  # what adds, before all that takes off
    draft = draft.adding(*_taken_back(draft, facts))
    for discount in _in_order(facts):
        if facts.is_opening and discount.per_period and discount.amount:
            continue  # it comes with the invoice of the period
        spared = ZERO
        if discount.per_period and discount.amount:
            spared = _sum_of(late, discount.version_id)
        base = _base(draft, discount, ahead, back)
        draft = _granting(draft, facts, discount, base=base, spared=max(ZERO, spared))
        late = _reduced(late, discount, facts) if discount.of_period else late
        ahead = _reduced(ahead, discount, facts) if discount.of_next else ahead
    return take_off_earlier(draft, facts)


def _in_order(facts: Facts) -> Iterator[Discount]:
    for plan in facts.plans:
        common = Discount(plan.name, plan.version_id, tax_code=plan.tax_code)
        yield replace(common, percent=plan.discount_percent)
        yield replace(common, amount=plan.discount_amount)
    for plan in facts.coming:  # of its fee in advance; its amount comes with its own period
        yield Discount(
            plan.name, plan.version_id, percent=plan.discount_percent, tax_code=plan.tax_code
        )
    yield from _of_former_plans(facts)
    if facts.contract is not None:
        yield Discount(facts.contract.name, percent=facts.contract.discount_percent)
        yield Discount(facts.contract.name, amount=facts.contract.discount_amount)
    for coupon in facts.coupons:
        yield Discount(
            f"coupon {coupon.code}",
            percent=coupon.percent,
            amount=ZERO if coupon.percent else coupon.amount,
            per_period=False,
            redemption_id=coupon.redemption_id,
            of_period=coupon.of_period,
            of_next=coupon.of_next,
        )


def _of_former_plans(facts: Facts) -> Iterator[Discount]:
    """Percentages on late usage, and on unused fees, of plans that the period does not have."""
    known = {plan.version_id for plan in (*facts.plans, *facts.coming)}
    for one in former_of(facts):
        if one.version_id not in known and one.discount_percent:
            known.add(one.version_id)
            yield Discount(
                one.plan_name, one.version_id, percent=one.discount_percent, tax_code=one.tax_code
            )


def _base(
    draft: Draft, discount: Discount, ahead: dict[UUID | None, Decimal], back: Decimal
) -> Decimal:
    """What the lines come to that the discount is of, `back` the refunds among them, below zero."""
    subtotal = draft.total(version_id=discount.version_id)
    if discount.version_id is None and discount.percent:
        subtotal = EXACT.subtract(subtotal, back)
    if discount.of_period and discount.of_next:
        return subtotal
    fees = _sum_of(ahead, discount.version_id)
    return EXACT.subtract(subtotal, fees) if discount.of_period else fees


def _granting(
    draft: Draft, facts: Facts, discount: Discount, *, base: Decimal, spared: Decimal
) -> Draft:
    """Grant what is wanted as far as its lines, but for what is spared, come to it."""
    wanted = discount.amount or _share(base, discount.percent)
    if wanted <= ZERO:
        return draft
    left = max(ZERO, min(draft.total(), EXACT.subtract(base, spared)))
    line = line_of(
        discount.owner,
        facts,
        stage="Discount",
        line_type=LineType.DISCOUNT,
        subject=discount.subject,
        exact_amount=EXACT.minus(min(wanted, left)),
        version_id=discount.version_id,
        tax_code=discount.tax_code,
    )
    if wanted > left:
        draft = draft.noting(f"{line.description}: {plain(wanted)} held to {plain(left)}")
    if not line.amount.amount:
        return draft
    line = replace(line, ahead=discount.ahead)
    return _redeeming(draft.adding(line), discount, EXACT.minus(line.amount.amount))


def _taking_back(draft: Draft, facts: Facts, discount: Discount) -> Draft:
    """What a plan's lines give back was asked for with its percentage taken off."""
    base = draft.total(version_id=discount.version_id)
    if base >= ZERO or discount.version_id is None or not discount.percent:
        return draft
    line = line_of(
        discount.owner,
        facts,
        stage="Discount",
        line_type=LineType.CHARGE,
        subject=f"{discount.subject} on what is given back",
        exact_amount=EXACT.minus(_share(base, discount.percent)),
        version_id=discount.version_id,
        tax_code=discount.tax_code,
    )
    return draft.adding(line) if line.amount.amount else draft


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
