"""Discount: percentage first, fixed amount next, never more than there is."""

from decimal import Decimal

import pytest

from billing.pipeline import LineType, run
from billing.pipeline.discount import apply_discounts
from tests.billing.pipeline.build import MONTH, facts, plan, shown, spent

PERCENT, FIXED = "Plan 1: discount of 10 %", "Plan 1: discount"


@pytest.mark.parametrize(
    ("terms", "amounts", "lines"),
    [
        ({"discount_percent": "10"}, ("100",), [(PERCENT, "-10.00 USD")]),
        ({"discount_amount": "10"}, ("100",), [(FIXED, "-10.00 USD")]),
        (
            {"discount_percent": "10", "discount_amount": "20"},
            ("60", "40"),
            [(PERCENT, "-10.00 USD"), (FIXED, "-20.00 USD")],
        ),
        (
            {"discount_percent": "10", "discount_amount": "95"},
            ("100",),
            [(PERCENT, "-10.00 USD"), (FIXED, "-90.00 USD")],
        ),
        (
            {"discount_percent": "100", "discount_amount": "5"},
            ("7",),
            [("Plan 1: discount of 100 %", "-7.00 USD")],
        ),
        ({"discount_percent": "10", "discount_amount": "5"}, ("0",), []),
        ({"discount_percent": "10", "discount_amount": "5"}, ("-3",), []),
        ({"discount_percent": "10"}, ("0.05",), []),
        ({"discount_percent": "10"}, ("0.15",), [(PERCENT, "-0.02 USD")]),
        ({"discount_amount": "0.015"}, ("1",), [(FIXED, "-0.02 USD")]),
    ],
)
def test_discounts_are_lines_below_zero(terms, amounts, lines):
    given = facts(plan(**terms))
    after = apply_discounts(spent(given, *amounts), given)
    assert shown(after)[len(amounts) :] == lines


def test_what_could_not_be_granted_is_noted():
    given = facts(plan(discount_amount="20"))
    after = apply_discounts(spent(given, "5"), given)
    assert after.notes == ("Plan 1: discount: 20 held to 5",)


def test_a_discount_is_of_its_own_plan_only():
    given = facts(plan(1, discount_percent="10", discount_amount="100"), plan(2))
    draft = spent(given, "5", of=1).adding(*spent(given, "50", of=2).lines)
    after = apply_discounts(draft, given)
    assert shown(after)[2:] == [(PERCENT, "-0.50 USD"), (FIXED, "-4.50 USD")]


def test_a_credit_of_another_plan_limits_the_discount():
    given = facts(plan(1, discount_percent="100"), plan(2))
    draft = spent(given, "10", of=1).adding(*spent(given, "-4", of=2).lines)
    assert apply_discounts(draft, given).total() == Decimal(0)


def test_the_true_up_is_discounted_and_a_fixed_amount_is_never_prorated():
    given = facts(
        plan(minimum_spend="300", discount_percent="50", discount_amount="20"), seconds=MONTH / 3
    )
    draft = run(given).draft
    assert [str(line.amount) for line in draft.lines] == ["100.00 USD", "-50.00 USD", "-20.00 USD"]
    assert draft.total(LineType.DISCOUNT) == Decimal("-70.00")


def test_without_a_discount_nothing_changes():
    assert apply_discounts(spent(facts(), "5"), facts()) == spent(facts(), "5")
