"""Commit: minimum and maximum spend, of plans and of contracts."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.pipeline import LineType, run
from billing.pipeline.commit import apply_commitment
from tests.billing.pipeline.build import (
    MONTH,
    advance,
    contract,
    facts,
    paid,
    plan,
    shown,
    spent,
    usage_fact,
)

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


CAP = "Plan 1: above the maximum spend"


@pytest.mark.parametrize(
    ("fields", "amounts", "lines"),
    [
        ({"maximum_spend": "100"}, ("60", "39"), []),
        ({"maximum_spend": "100"}, ("60", "70"), [(CAP, "-30.00 USD")]),
        ({"maximum_spend": "0"}, ("5",), [(CAP, "-5.00 USD")]),
        ({"maximum_spend": "100", "minimum_spend": "100"}, ("250",), [(CAP, "-150.00 USD")]),
        ({"maximum_spend": "100", "minimum_spend": "40"}, ("25",), [(TRUE_UP, "15.00 USD")]),
    ],
)
def test_what_is_above_a_maximum_is_a_credit(fields, amounts, lines):
    given = facts(plan(**fields))
    after = apply_commitment(spent(given, *amounts), given)
    assert shown(after)[len(amounts) :] == lines
    assert {line.type for line in after.lines[len(amounts) :]} <= {
        LineType.CREDIT,
        LineType.CHARGE,
    }


def test_minimum_and_maximum_are_prorated_by_days_where_the_plan_is():
    pro = plan(minimum_spend="62", maximum_spend="93", by_days=True)
    given = facts(pro, days=Decimal(10), whole_days=Decimal(31), seconds=MONTH / 2)
    clause = ", prorated to 10 of 31 days"
    assert shown(apply_commitment(spent(given), given)) == [(TRUE_UP + clause, "20.00 USD")]
    assert shown(apply_commitment(spent(given, "50"), given))[1:] == [(CAP + clause, "-20.00 USD")]


def test_a_contract_replaces_what_plans_say_and_counts_all_of_them_together():
    agreed = contract(minimum_spend="150")
    given = facts(plan(1, minimum_spend="100"), plan(2, minimum_spend="100"), contract=agreed)
    draft = spent(given, "80", of=1).adding(*spent(given, "40", of=2).lines)
    after = apply_commitment(draft, given)
    assert shown(after)[2:] == [("Deal: true-up to minimum spend", "30.00 USD")]
    assert after.lines[2].version_id is None


def test_what_a_contract_leaves_out_stays_the_plans_own():
    agreed = contract(maximum_spend="120")
    given = facts(plan(1, minimum_spend="100"), plan(2), contract=agreed)
    draft = spent(given, "80", of=1).adding(*spent(given, "40", of=2).lines)
    assert shown(apply_commitment(draft, given))[2:] == [
        (TRUE_UP, "20.00 USD"),
        ("Deal: above the maximum spend", "-20.00 USD"),
    ]


def test_no_maximum_goes_below_a_minimum():
    given = facts(plan(minimum_spend="100"), contract=contract(maximum_spend="60"))
    assert apply_commitment(spent(given, "10"), given).total() == 100


def test_the_minimum_of_a_term_is_asked_for_in_its_last_period():
    agreed = contract(term_minimum="1000", term_spent="700")
    assert shown(apply_commitment(spent(facts(), "50"), facts(contract=agreed)))[1:] == []
    last = facts(contract=replace(agreed, ends_term=True))
    after = apply_commitment(spent(last, "50"), last)
    assert shown(after)[1:] == [("Deal: true-up to minimum spend of the term", "250.00 USD")]
    assert after.notes == ("Deal: spent 750 of a minimum of 1000 of the term",)


def test_the_maximum_of_a_term_holds_from_the_period_on_that_reaches_it():
    given = facts(contract=contract(term_maximum="1000", term_spent="970"))
    after = apply_commitment(spent(given, "50"), given)
    assert shown(after)[1:] == [("Deal: above the maximum spend of the term", "-20.00 USD")]


def test_a_fee_that_was_paid_in_advance_counts_and_one_for_the_next_period_does_not():
    pro = plan(base_fee="100", minimum_spend="130", in_advance=True)
    draft = run(facts(pro, paid=(paid(),), advance=advance())).draft
    assert shown(draft) == [
        ("Plan 1: base fee, in advance", "100.00 USD"),
        (TRUE_UP, "30.00 USD"),
    ]


def test_what_is_given_back_of_an_earlier_fee_counts_in_the_term():
    """And the fee of the next period, in advance, does not."""
    march, april = (datetime(2024, month, 1, tzinfo=UTC) for month in (3, 4))
    deal = contract(term_minimum="100", term_spent="60", ends_term=True)
    given = facts(
        plan(base_fee="30"),
        contract=replace(deal, term_start=march),
        unreturned=(replace(paid("30", unused="15"), covers=(march, april)),),
        advance=advance(),
    )
    lines = run(given).draft.lines
    assert [(line.stage, str(line.amount.amount)) for line in lines] == [
        ("Rate", "30.00"),
        ("Rate", "100.00"),
        ("Rate", "-15.00"),
        ("Commit", "25.00"),
    ]
