from decimal import Decimal

import pytest

from catalog.pricing import Charge, InvalidTerms, parse_terms

TERMS = parse_terms({"model": "PER_UNIT", "rate": "0.000015", "includedFree": 1000})


@pytest.mark.parametrize(
    ("quantity", "charge"),
    [
        ("0", "0"),
        ("999.999999999999", "0"),
        ("1000", "0"),
        ("1000.5", "0.0000075"),
        ("1001", "0.000015"),
        ("1001000", "15"),
    ],
)
def test_each_unit_above_the_included_ones_costs_the_rate(quantity, charge):
    assert TERMS.charge(Decimal(quantity)) == Decimal(charge)


def test_free_units_are_shown_as_a_line_of_zero():
    assert TERMS.charges(Decimal(1001000)) == (
        Charge("included", Decimal(1000), Decimal(0), Decimal(0)),
        Charge("units", Decimal(1000000), Decimal("0.000015"), Decimal(15)),
    )
    assert TERMS.charges(Decimal(400)) == (
        Charge("included", Decimal(400), Decimal(0), Decimal(0)),
    )
    assert TERMS.charges(Decimal(0)) == ()


def test_an_allowance_below_zero_is_refused():
    with pytest.raises(InvalidTerms, match="includedFree: must not be negative"):
        TERMS.with_allowance(Decimal(-1))
