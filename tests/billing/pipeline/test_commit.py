"""Commit: minimum spend."""

from decimal import Decimal

import pytest

from billing.pipeline import run
from billing.pipeline.commit import apply_commitment
from tests.billing.pipeline.build import MONTH, facts, plan, shown, spent, usage_fact

TRUE_UP = "Plan 1: true-up to minimum spend"


@pytest.mark.parametrize(
    ("amounts", "true_up"),
    [
        ((), "100.00"),
        (("0",), "100.00"),
        (("60", "39.99"), "0.01"),
        (("60", "40"), None),
        (("100.01",), None),
        (("-5",), "105.00"),
    ],
)
def test_a_plan_is_lifted_to_its_minimum(amounts, true_up):
    given = facts(plan(minimum_spend="100"))
    after = apply_commitment(spent(given, *amounts), given)
    expected = [] if true_up is None else [(TRUE_UP, f"{true_up} USD")]
    assert shown(after)[len(amounts) :] == expected


def test_the_minimum_is_prorated_with_the_period():
    given = facts(plan(minimum_spend="100"), seconds=MONTH / 3)
    after = apply_commitment(spent(given, "30"), given)
    clause = ", prorated to 864,000 of 2,592,000 seconds"
    assert shown(after)[1:] == [(TRUE_UP + clause, "3.33 USD")]
    assert after.lines[1].exact_amount == Decimal("3.333333333333")
    assert after.notes == ("Plan 1: spent 30 of a minimum of 33.333333333333",)


def test_less_than_half_a_cent_short_is_met():
    given = facts(plan(minimum_spend="100.004"))
    assert shown(apply_commitment(spent(given, "100"), given)) == [("spent", "100 USD")]


def test_each_plan_meets_its_own_minimum_by_its_own_lines():
    given = facts(plan(1, minimum_spend="10"), plan(2, minimum_spend="10"))
    after = apply_commitment(spent(given, "500", of=2), given)
    assert shown(after)[1:] == [(TRUE_UP, "10.00 USD")]


@pytest.mark.parametrize(
    ("currency", "total"), [("JPY", "1000"), ("USD", "999.50"), ("KWD", "999.500")]
)
def test_the_true_up_is_rounded_to_the_currency(currency, total):
    given = facts(plan(minimum_spend="999.5"), currency=currency)
    assert shown(apply_commitment(spent(given), given)) == [(TRUE_UP, f"{total} {currency}")]


def test_without_a_minimum_nothing_changes():
    assert apply_commitment(spent(facts(), "5"), facts()) == spent(facts(), "5")


def test_the_base_fee_counts_towards_the_minimum():
    draft = run(facts(plan(base_fee=49, minimum_spend=50), usage=[usage_fact("50")])).draft
    assert [str(line.amount) for line in draft.lines] == ["49.00 USD", "0.50 USD", "0.50 USD"]
