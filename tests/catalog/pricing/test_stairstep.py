from decimal import Decimal

import pytest

from catalog.pricing import Charge, parse_terms

STEPS = [{"tierEnd": 1000, "price": 10}, {"tierEnd": 5000, "price": 40}]
WITH_OVERAGE = parse_terms({"model": "STAIRSTEP", "steps": STEPS, "overageRate": "0.01"})
OPEN = parse_terms({"model": "STAIRSTEP", "steps": [*STEPS, {"tierEnd": -1, "price": 90}]})


@pytest.mark.parametrize(
    ("terms", "quantity", "charge"),
    [
        (WITH_OVERAGE, "0", "0"),
        (WITH_OVERAGE, "0.5", "10"),
        (WITH_OVERAGE, "1000", "10"),
        (WITH_OVERAGE, "1000.5", "40"),
        (WITH_OVERAGE, "5000", "40"),
        (WITH_OVERAGE, "6200", "52"),
        (OPEN, "0", "0"),
        (OPEN, "5000", "40"),
        (OPEN, "5000.5", "90"),
        (OPEN, "1000000", "90"),
    ],
)
def test_worked_examples(terms, quantity, charge):
    assert terms.charge(Decimal(quantity)) == Decimal(charge)


def test_the_lines_name_the_step_and_the_overage():
    assert WITH_OVERAGE.charges(Decimal(6200)) == (
        Charge("step 2", Decimal(5000), None, Decimal(40)),
        Charge("overage", Decimal(1200), Decimal("0.01"), Decimal(12)),
    )
    assert OPEN.charges(Decimal(6200)) == (Charge("step 3", Decimal(6200), None, Decimal(90)),)
    assert OPEN.charges(Decimal(0)) == ()


def test_a_cheaper_step_makes_the_charge_drop():
    steps = [{"tierEnd": 10, "price": 30}, {"tierEnd": -1, "price": 20}]
    terms = parse_terms({"model": "STAIRSTEP", "steps": steps})
    assert terms.marginal(Decimal(10), Decimal(11)) == Decimal(-10)


def test_overage_of_zero_keeps_the_last_price():
    terms = parse_terms({"model": "STAIRSTEP", "steps": STEPS, "overageRate": 0})
    assert terms.charge(Decimal(99999)) == Decimal(40)
