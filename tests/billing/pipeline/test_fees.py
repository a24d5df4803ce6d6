"""Fees: once, per period, in advance; and what is given back of those."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from billing.pipeline import EarlierFact, LineType, run
from tests.billing.pipeline.build import (
    MONTH,
    advance,
    facts,
    fee,
    paid,
    plan,
    shown,
    usage_fact,
)

SETUP, BASE = "Plan 1: setup fee", "Plan 1: base fee"
FLAT = {"model": "FLAT_RATE", "flatRate": "20"}
APRIL, MAY = facts(), advance()


def billed(*plans, **fields):
    return run(facts(*plans, **fields)).draft


def test_a_setup_fee_is_due_with_the_first_period_alone_and_never_prorated():
    pro = plan(base_fee=30, setup_fee=99)
    first = billed(pro, is_first=True, seconds=MONTH / 3)
    clause = ", prorated to 864,000 of 2,592,000 seconds"
    assert shown(first) == [(SETUP, "99.00 USD"), (BASE + clause, "10.00 USD")]
    assert first.lines[0].type is LineType.SETUP_FEE
    assert shown(billed(pro)) == [(BASE, "30.00 USD")]


def test_days_are_named_on_the_line():
    pro = plan(base_fee=31, by_days=True)
    draft = billed(pro, days=Decimal(10), whole_days=Decimal(31), seconds=Decimal(1))
    assert shown(draft) == [(f"{BASE}, prorated to 10 of 31 days", "10.00 USD")]


def test_an_opening_invoice_asks_for_setup_and_the_first_fee_in_advance():
    pro = plan(base_fee=100, setup_fee=9, in_advance=True, minimum_spend=500)
    opening = billed(pro, plan(2, base_fee=5), is_first=True, is_opening=True, fees=(fee(),))
    assert shown(opening) == [(SETUP, "9.00 USD"), (f"{BASE}, in advance", "100.00 USD")]
    assert opening.lines[1].covers == (APRIL.period_start, APRIL.period_end)


def test_an_invoice_has_usage_in_arrears_beside_the_next_fee_in_advance():
    pro = plan(base_fee=100, setup_fee=9, in_advance=True)
    draft = billed(pro, usage=[usage_fact("300")], is_first=True, paid=(paid(),), advance=advance())
    assert shown(draft) == [("Plan 1: calls", "3.00 USD"), (f"{BASE}, in advance", "100.00 USD")]
    assert draft.lines[1].covers == MAY.span


def test_a_fee_in_advance_that_nobody_asked_for_is_asked_for_afterwards():
    pro = plan(base_fee=100, setup_fee=9, in_advance=True)
    assert shown(billed(pro, is_first=True)) == [(SETUP, "9.00 USD"), (BASE, "100.00 USD")]


def test_the_next_period_may_be_of_another_plan_and_partial():
    draft = billed(
        plan(in_advance=True, base_fee=100),
        paid=(paid(),),
        advance=advance(fee("200", of=2), seconds=MONTH / 4),
    )
    clause = ", in advance, prorated to 648,000 of 2,592,000 seconds"
    assert shown(draft) == [(f"Plan 2: base fee{clause}", "50.00 USD")]


def test_what_was_paid_for_days_that_did_not_come_is_given_back():
    draft = billed(
        plan(base_fee=100, in_advance=True),
        usage=[usage_fact("9000")],
        paid=(paid("100", "12"),),
    )
    unused = f"{BASE}, unused part of what was paid, 12 of 30 days"
    assert shown(draft) == [("Plan 1: calls", "90.00 USD"), (unused, "-40.00 USD")]
    assert draft.lines[1].type is LineType.PRORATION


@pytest.mark.parametrize(("used", "total", "given_back"), [("0", 0, 0), ("1500", 0, -15)])
def test_nothing_is_given_back_beyond_what_the_invoice_comes_to(used, total, given_back):
    result = run(
        facts(
            plan(base_fee=100, in_advance=True),
            usage=[usage_fact(used)],
            paid=(paid("100", "12"),),
        )
    )
    assert result.draft.total() == total
    assert result.draft.total(LineType.PRORATION) == given_back
    notes = result.records[4].notes
    assert notes[-1].endswith("the rest waits for an invoice with room for it")


def test_a_flat_rate_that_was_paid_in_advance_is_a_line_of_nothing():
    usage = [usage_fact("7", FLAT, is_paid=True)]
    (line,) = billed(plan(), usage=usage).lines
    assert (line.description, str(line.amount)) == ("Plan 1: calls, paid in advance", "0.00 USD")
    assert line.terms.charge(Decimal(7)) == line.exact_amount == 0


def test_a_flat_rate_of_a_unit_is_due_in_advance_too():
    of_unit = replace(fee("20"), subject="seats", unit_id=UUID(int=101), tax_code="saas")
    (line,) = billed(plan(), advance=advance(of_unit)).lines
    assert (line.description, line.unit_id) == ("Plan 1: seats, in advance", UUID(int=101))
    assert line.tax_code == "saas"


def test_percentages_hold_for_what_is_given_back():
    pro = plan(base_fee=100, in_advance=True, discount_percent=10)
    draft = billed(pro, usage=[usage_fact("9000")], paid=(paid("100", "12"),))
    assert draft.total() == 45  # nine tenths of 90 - 40


ASKED = (EarlierFact(UUID(int=9), "INV-7", Decimal(25)),)


@pytest.mark.parametrize(
    ("discounts", "other", "asked", "given_back", "taken_off"),
    [
        ({}, {}, ASKED, None, "-25.00"),
        ({"discount_amount": "15"}, {}, (), "-10.00", "-15.00"),
        ({"discount_percent": "10"}, {}, (), "-20.00", "-0.50"),
        ({}, {"base_fee": "10", "discount_percent": "50"}, ASKED, "-5.00", "-25.00"),
        ({}, {"base_fee": "10", "discount_percent": "50"}, (), "-20.00", "-5.00"),
    ],
    ids=["asked for", "amount", "own percentage", "both", "another percentage"],
)
def test_what_is_given_back_leaves_what_others_take_off(
    discounts, other, asked, given_back, taken_off
):
    """20 of a fee of 30, beside usage of 25: what has no room waits, a discount could not."""
    given = facts(
        plan(1, base_fee="30", in_advance=True, **discounts),
        plan(2, **other),
        usage=[usage_fact("25", {"model": "PER_UNIT", "rate": "1"})],
        paid=(paid("30", unused="20"),),
        earlier=asked,
    )
    draft = run(given).draft
    back = [str(line.amount.amount) for line in draft.lines if line.type == LineType.PRORATION]
    assert back == ([given_back] if given_back else [])
    assert str(draft.lines[-1].amount.amount) == taken_off
    assert draft.total() >= 0
