from decimal import Decimal

import pytest
from hypothesis import given

from catalog.pricing import Charge, parse_terms
from tests.catalog.pricing.strategies import terms_of, usages

TERMS = parse_terms({"model": "FLAT_RATE", "flatRate": "49.00"})


@pytest.mark.parametrize("quantity", ["0", "0.5", "1", "1000000"])
def test_the_price_does_not_depend_on_the_usage(quantity):
    assert TERMS.charge(Decimal(quantity)) == Decimal(49)
    assert TERMS.marginal(Decimal(0), Decimal(quantity)) == 0


def test_one_line_says_so():
    assert TERMS.charges(Decimal(0)) == (Charge("flat rate", Decimal(0), None, Decimal(49)),)


def test_a_partial_period_costs_its_share_to_twelve_decimals():
    assert TERMS.prorated(Decimal(10), Decimal(31)).charge(Decimal(0)) == Decimal("15.806451612903")


@given(terms_of("FLAT_RATE"), usages)
def test_a_whole_period_costs_the_whole_price(terms, usage):
    whole = Decimal(31 * 86400)
    assert terms.prorated(whole, whole) == terms
    assert terms.prorated(Decimal(0), whole).charge(usage) == 0
