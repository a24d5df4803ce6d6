"""Discount: of each plan, of the contract, then coupons as they were redeemed; never below zero."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, Money, plain
from billing.pipeline.draft import Draft, LineType
from billing.pipeline.earlier import take_off_earlier
from billing.pipeline.facts import Facts
from billing.pipeline.lines import line_of


@dataclass(frozen=True, slots=True)
class Discount:
    """A percentage, or an amount, off the lines of one plan or (None) off all that is left.

    `per_period` amounts are granted in their own period and leave late usage of others alone.
    """

    owner: str
    version_id: UUID | None = None
    percent: Decimal = ZERO
    amount: Decimal = ZERO
    per_period: bool = True
    redemption_id: UUID | None = None
    tax_code: str = ""

    @property
    def subject(self) -> str:
        return f"discount of {plain(self.percent)} %" if self.percent else "discount"


def apply_discounts(draft: Draft, facts: Facts) -> Draft:
    """Take each discount off what its lines, true-ups included, still come to.

    A fixed amount is granted in full, also in a partial period, as far as there is something to
    take it off. One plan's discount never eats into what another plan's lines come to. Percentages
    hold for late usage too, also of plans that the period has no more; a fixed amount per period
    does not, it was granted in its own. What is given back to a plan's fees is less by its
    percentage, as what was asked for them was. What
    earlier invoices of the same period asked for is taken off last: they granted theirs.
    """
    late = _late_by_plan(draft)
    for discount in _in_order(facts):
        if facts.is_opening and discount.per_period and discount.amount:
            continue  # it comes with the invoice of the period
        spared = ZERO
        if discount.per_period and discount.amount:
            spared = _sum_of(late, discount.version_id)
        draft = _granting(draft, facts, discount, spared=max(ZERO, spared))
        late = _reduced(late, discount, facts)
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
        )


def _of_former_plans(facts: Facts) -> Iterator[Discount]:
    """Percentages on late usage, and on unused fees, of plans that the period does not have."""
    known = {plan.version_id for plan in (*facts.plans, *facts.coming)}
    for one in (*facts.late, *(paid.fee for paid in facts.unreturned)):
        if one.version_id not in known and one.discount_percent:
            known.add(one.version_id)
            yield Discount(
                one.plan_name, one.version_id, percent=one.discount_percent, tax_code=one.tax_code
            )


def _granting(draft: Draft, facts: Facts, discount: Discount, *, spared: Decimal) -> Draft:
    """Grant what is wanted as far as its lines, but for what is spared, come to it."""
    subtotal = draft.total(version_id=discount.version_id)
    if subtotal < ZERO and discount.version_id is not None:
        return _taking_back(draft, facts, discount, subtotal)
    wanted = discount.amount or _share(subtotal, discount.percent)
    if wanted <= ZERO:
        return draft
    left = max(ZERO, min(draft.total(), EXACT.subtract(subtotal, spared)))
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
    return _redeeming(draft.adding(line), discount, EXACT.minus(line.amount.amount))


def _taking_back(draft: Draft, facts: Facts, discount: Discount, subtotal: Decimal) -> Draft:
    """What a plan's lines give back was asked for with its percentage taken off."""
    line = line_of(
        discount.owner,
        facts,
        stage="Discount",
        line_type=LineType.CHARGE,
        subject=f"{discount.subject} on what is given back",
        exact_amount=EXACT.minus(_share(subtotal, discount.percent)),
        version_id=discount.version_id,
        tax_code=discount.tax_code,
    )
    return draft.adding(line) if line.amount.amount else draft


def _redeeming(draft: Draft, discount: Discount, amount: Decimal) -> Draft:
    if discount.redemption_id is None:
        return draft
    return replace(draft, redeemed=(*draft.redeemed, (discount.redemption_id, amount)))


def _share(amount: Decimal, percent: Decimal) -> Decimal:
    return EXACT.multiply(amount, EXACT.scaleb(percent, -2))


def _late_by_plan(draft: Draft) -> dict[UUID | None, Decimal]:
    """What lines of earlier periods come to, by plan."""
    late: dict[UUID | None, Decimal] = {}
    for line in draft.lines:
        if line.late is not None:
            known = late.get(line.version_id, ZERO)
            late[line.version_id] = EXACT.add(known, line.amount.amount)
    return late


def _sum_of(late: dict[UUID | None, Decimal], version_id: UUID | None) -> Decimal:
    if version_id is not None:
        return late.get(version_id, ZERO)
    total = ZERO
    for amount in late.values():
        total = EXACT.add(total, amount)
    return total


def _reduced(
    late: dict[UUID | None, Decimal], discount: Discount, facts: Facts
) -> dict[UUID | None, Decimal]:
    """What a percentage leaves of late lines."""
    if not discount.percent or not late:
        return late
    return {
        version_id: (
            Money(EXACT.subtract(amount, _share(amount, discount.percent)), facts.currency)
            .rounded()
            .amount
            if discount.version_id in {None, version_id}
            else amount
        )
        for version_id, amount in late.items()
    }
