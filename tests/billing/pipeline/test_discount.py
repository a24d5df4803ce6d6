"""Discount: percentage first, fixed amount next, never more than there is."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from billing.pipeline import LineType, TaxFact, TaxRateFact, run
from billing.pipeline.discount import apply_discounts
from tests.billing.pipeline.build import (
    MONTH,
    advance,
    contract,
    coupon,
    facts,
    fee,
    paid,
    plan,
    shown,
    spent,
    usage_fact,
)
from tests.billing.pipeline.test_late_usage import late

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
        ({"discount_amount": "5"}, ("-3",), []),
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


def test_plan_contract_and_coupons_take_off_one_after_the_other():
    given = facts(
        plan(discount_percent="10"),
        contract=contract(discount_percent="10", discount_amount="1"),
        coupons=(coupon(1, percent="50"), coupon(2, amount="30")),
    )
    after = apply_discounts(spent(given, "100"), given)
    assert shown(after)[1:] == [
        (PERCENT, "-10.00 USD"),
        ("Deal: discount of 10 %", "-9.00 USD"),
        ("Deal: discount", "-1.00 USD"),
        ("coupon SAVE1: discount of 50 %", "-40.00 USD"),
        ("coupon SAVE2: discount", "-30.00 USD"),
    ]
    assert after.redeemed == (
        (UUID(int=61), Decimal("40.00")),
        (UUID(int=62), Decimal("30.00")),
    )


def test_coupons_take_off_in_the_order_in_which_they_were_redeemed():
    half, fixed = coupon(1, percent="50"), coupon(2, amount="30")
    totals = []
    for coupons in ((half, fixed), (fixed, half)):
        given = facts(coupons=coupons)
        totals.append(apply_discounts(spent(given, "100"), given).total())
    assert totals == [20, 35]


def test_a_coupon_that_finds_nothing_to_take_off_is_not_spent():
    given = facts(coupons=(coupon(1, percent="100"), coupon(2, amount="5")))
    after = apply_discounts(spent(given, "7"), given)
    assert after.redeemed == ((UUID(int=61), Decimal("7.00")),)
    assert after.notes == ("coupon SAVE2: discount: 5 held to 0",)


def test_a_fixed_amount_of_a_contract_leaves_late_usage_alone_and_a_coupon_does_not():
    given = facts(contract=contract(discount_amount="10"), late=(late(0, 8),))
    assert run(given).draft.total() == 8
    given = facts(coupons=(coupon(amount="10"),), late=(late(0, 8),))
    assert run(given).draft.total() == 0


def test_an_opening_invoice_has_percentages_and_coupons_but_no_discount_of_its_period():
    pro = plan(base_fee=100, in_advance=True, discount_percent=10, discount_amount=20)
    opening = {"is_opening": True, "fees": (fee(),), "coupons": (coupon(amount="5"),)}
    assert shown(run(facts(pro, **opening)).draft) == [
        ("Plan 1: base fee, in advance", "100.00 USD"),
        (PERCENT, "-10.00 USD"),
        ("coupon SAVE1: discount", "-5.00 USD"),
    ]


def given_back(unused, **fields):
    """A fee of 30 of a plan with 10 % off, so 27 were asked for; so many of 30 days unused."""
    one = paid("30", unused=unused)
    return replace(one, fee=replace(one.fee, discount_percent=Decimal(10)), **fields)


@pytest.mark.parametrize(
    ("own_usage", "lines"),
    [
        ("100", [("Plan 1: discount of 10 %", "-8.00")]),
        ("0", [("Plan 1: discount of 10 % on what is given back", "2.00")]),
        ("5", [("Plan 1: discount of 10 % on what is given back", "1.50")]),
    ],
)
def test_what_is_given_back_of_a_fee_is_what_was_asked_for(own_usage, lines):
    """18 of 27, whatever else the plan's lines come to; other plans pay no part of it."""
    given = facts(
        plan(1, discount_percent="10", base_fee="30", in_advance=True),
        plan(2, base_fee="60"),
        paid=(given_back("20"),),
        usage=[usage_fact(own_usage, {"model": "PER_UNIT", "rate": "1"})],
    )
    draft = run(given).draft
    assert [
        (line.description, str(line.amount.amount))
        for line in draft.lines
        if line.stage == "Discount"
    ] == lines
    assert draft.total() == 60 + Decimal(own_usage) * Decimal("0.9") - 18


def test_a_plan_that_is_no_more_discounts_its_late_usage_and_its_unused_fees():
    march, april = (datetime(2024, month, 1, tzinfo=UTC) for month in (3, 4))
    old = replace(late(0, 20), discount_percent=Decimal(10))
    alone = facts(plan(2), late=(old,))
    (line, discount) = run(alone).draft.lines
    assert discount.amount.amount == -(line.amount.amount / 10)
    refunded = facts(plan(2, base_fee="60"), unreturned=(given_back("20", covers=(march, april)),))
    assert run(refunded).draft.total() == 60 - 18


def test_what_was_taken_off_a_fee_is_there_before_others_take_theirs_off():
    """Or the other plan's half of 3.00 is held to 1.33."""
    march, april = (datetime(2024, month, 1, tzinfo=UTC) for month in (3, 4))
    given = facts(
        plan(2, base_fee="3", discount_percent="50"),
        unreturned=(given_back("20", covers=(march, april)),),
    )
    draft = run(given).draft
    assert shown(draft) == [
        ("Plan 2: base fee", "3.00 USD"),
        ("Plan 1: base fee, unused part of what was paid, 20 of 30 days", "-1.67 USD"),
        ("Plan 1: discount of 10 % on what is given back", "0.17 USD"),
        ("Plan 2: discount of 50 %", "-1.50 USD"),
    ]


@pytest.mark.parametrize(
    ("spans", "off", "taxed"),
    [
        ({"of_next": False}, "-8.00", [("19", "72.00"), ("7", "30.00")]),
        ({"of_period": False}, "-3.00", [("19", "80.00"), ("7", "27.00")]),
        ({}, "-11.00", [("19", "72.00"), ("7", "27.00")]),
    ],
    ids=["period", "next fees", "both"],
)
def test_a_coupon_is_taken_off_and_taxed_where_it_holds(spans, off, taxed):
    """Of a fee of 30 for books in advance, beside 80 of the period."""
    table = (TaxRateFact("", "DE", "", "", Decimal(19)), TaxRateFact("", "DE", "", "B", Decimal(7)))
    given = facts(
        plan(base_fee="30", in_advance=True),
        usage=[usage_fact("50", {"model": "PER_UNIT", "rate": "1"})],
        advance=advance(fee("30", tax_code="B")),
        coupons=(replace(coupon(percent="10"), **spans),),
        tax=TaxFact("TABLE", seller_country="DE", buyer_country="DE", rates=table),
    )
    lines = run(given).draft.lines
    (discount,) = (line for line in lines if line.type == LineType.DISCOUNT)
    assert str(discount.amount.amount) == off
    assert [
        (str(line.tax_percent), line.description.split(" on ")[1])
        for line in lines
        if line.type == LineType.TAX_ADJUSTMENT
    ] == taxed
