"""Discounts: who takes how much off what, in the order in which they are granted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO, plain
from billing.pipeline.facts import Facts, LateFact
from billing.pipeline.fee_facts import FeeFact


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
    def is_of_refunds(self) -> bool:
        """Whether it is of what is given back, too: what others took off is a line of its own."""
        return self.version_id is not None and bool(self.percent)

    @property
    def subject(self) -> str:
        """How its line names it; `taken_off` tells percentages from amounts by that."""
        return f"discount of {plain(self.percent)} %" if self.percent else "discount"


def discounts_in(facts: Facts) -> Sequence[Discount]:
    """Of each plan, of the contract, then coupons as they were redeemed."""
    return [discount for discount in _terms(facts) if discount.percent or discount.amount]


def _terms(facts: Facts) -> Iterator[Discount]:
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
    former: tuple[LateFact | FeeFact, ...] = (
        *facts.late,
        *(paid.fee for paid in facts.unreturned),
    )
    for one in former:
        if one.version_id not in known and one.discount_percent:
            known.add(one.version_id)
            yield Discount(
                one.plan_name, one.version_id, percent=one.discount_percent, tax_code=one.tax_code
            )
