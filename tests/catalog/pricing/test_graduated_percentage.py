from decimal import Decimal

import pytest
from hypothesis import given

from catalog.pricing import Charge, parse_terms
from tests.catalog.pricing.strategies import percentages, quantities

TIERS = [
    {"tierEnd": 1000, "ratePercent": "2.9", "flatFee": 5},
    {"tierEnd": -1, "ratePercent": "1.5"},
]
TERMS = parse_terms({"model": "GRADUATED_PERCENTAGE", "tiers": TIERS})


@pytest.mark.parametrize(
    ("amount", "charge"),
    [("0", "0"), ("100", "7.9"), ("1000", "34"), ("1000.01", "34.00015"), ("4000", "79")],
)
def test_worked_examples(amount, charge):
    assert TERMS.charge(Decimal(amount)) == Decimal(charge)


def test_one_line_per_tier_and_flat_fee():
    assert TERMS.charges(Decimal(4000)) == (
        Charge("tier 1", Decimal(1000), Decimal("0.029"), Decimal(29)),
        Charge("tier 1 flat fee", Decimal(0), None, Decimal(5)),
        Charge("tier 2", Decimal(3000), Decimal("0.015"), Decimal(45)),
    )


@given(percentages, quantities)
def test_one_tier_is_a_plain_percentage(percent, amount):
    tiers = [{"ratePercent": percent}]
    graduated = parse_terms({"model": "GRADUATED_PERCENTAGE", "tiers": tiers})
    plain = parse_terms({"model": "PERCENTAGE", "ratePercent": percent})
    assert graduated.charge(amount) == plain.charge(amount)
