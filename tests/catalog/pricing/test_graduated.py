from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given

from catalog.pricing import Charge, parse_terms
from tests.catalog.pricing.strategies import prices, quantities, terms_of

TIERS = [
    {"tierEnd": 1000, "unitPrice": "0.010"},
    {"tierEnd": 10000, "unitPrice": "0.008"},
    {"tierEnd": -1, "unitPrice": "0.005"},
]
FEES = [{**tier, "flatFee": fee} for tier, fee in zip(TIERS, (5, 3, 0), strict=True)]
TERMS = parse_terms({"model": "GRADUATED", "tiers": TIERS})
WITH_FEES = parse_terms({"model": "GRADUATED", "tiers": FEES})
BILLED_AT_ZERO = parse_terms({"model": "GRADUATED", "tiers": FEES, "billZeroTier": True})


@pytest.mark.parametrize(
    ("terms", "quantity", "charge"),
    [
        (TERMS, "0", "0"),
        (TERMS, "1", "0.01"),
        (TERMS, "1000", "10"),
        (TERMS, "1000.5", "10.004"),
        (TERMS, "1001", "10.008"),
        (TERMS, "10000", "82"),
        (TERMS, "15000", "107"),
        (WITH_FEES, "0", "0"),
        (WITH_FEES, "0.5", "5.005"),
        (WITH_FEES, "1000", "15"),
        (WITH_FEES, "1000.5", "18.004"),
        (WITH_FEES, "15000", "115"),
        (BILLED_AT_ZERO, "0", "5"),
        (BILLED_AT_ZERO, "0.5", "5.005"),
        (BILLED_AT_ZERO, "15000", "115"),
    ],
)
def test_worked_examples(terms, quantity, charge):
    assert terms.charge(Decimal(quantity)) == Decimal(charge)


def test_one_line_per_tier_and_flat_fee():
    assert WITH_FEES.charges(Decimal(15000)) == (
        Charge("tier 1", Decimal(1000), Decimal("0.01"), Decimal(10)),
        Charge("tier 1 flat fee", Decimal(0), None, Decimal(5)),
        Charge("tier 2", Decimal(9000), Decimal("0.008"), Decimal(72)),
        Charge("tier 2 flat fee", Decimal(0), None, Decimal(3)),
        Charge("tier 3", Decimal(5000), Decimal("0.005"), Decimal(25)),
    )
    assert BILLED_AT_ZERO.charges(Decimal(0)) == (
        Charge("tier 1 flat fee", Decimal(0), None, Decimal(5)),
    )
    assert WITH_FEES.charges(Decimal(0)) == ()


@given(terms_of("GRADUATED"), quantities.filter(bool))
def test_the_charge_is_the_area_under_the_tiers(terms, quantity):
    area, floor = Fraction(0), Fraction(0)
    for tier in terms.tiers:
        if quantity <= floor:
            break
        top = Fraction(quantity if tier.tier_end is None else min(quantity, tier.tier_end))
        area += (top - floor) * Fraction(tier.unit_price) + Fraction(tier.flat_fee)
        floor = top
    assert Fraction(terms.charge(quantity)) == area


@given(terms_of("GRADUATED"), quantities)
def test_no_tier_takes_more_units_than_fit(terms, quantity):
    lines = [line for line in terms.charges(quantity) if line.unit_price is not None]
    floor = Decimal(0)
    for line, tier in zip(lines, terms.tiers, strict=False):
        assert line.quantity > 0
        if tier.tier_end is not None:
            assert line.quantity <= Fraction(tier.tier_end) - Fraction(floor)
            floor = tier.tier_end


@given(prices, quantities)
def test_one_tier_is_plain_per_unit(price, quantity):
    graduated = parse_terms({"model": "GRADUATED", "tiers": [{"unitPrice": price}]})
    per_unit = parse_terms({"model": "PER_UNIT", "rate": price})
    assert graduated.charge(quantity) == per_unit.charge(quantity)
