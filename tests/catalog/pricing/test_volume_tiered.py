from decimal import Decimal

import pytest
from hypothesis import given

from catalog.pricing import Charge, parse_terms
from tests.catalog.pricing.strategies import prices, quantities

TIERS = [
    {"tierEnd": 1000, "unitPrice": "0.010"},
    {"tierEnd": 10000, "unitPrice": "0.008"},
    {"tierEnd": -1, "unitPrice": "0.005"},
]
FEES = [{**tier, "flatFee": fee} for tier, fee in zip(TIERS, (5, 3, 0), strict=True)]
TERMS = parse_terms({"model": "VOLUME_TIERED", "tiers": TIERS})
WITH_FEES = parse_terms({"model": "VOLUME_TIERED", "tiers": FEES})
BILLED_AT_ZERO = parse_terms({"model": "VOLUME_TIERED", "tiers": FEES, "billZeroTier": True})


@pytest.mark.parametrize(
    ("terms", "quantity", "charge"),
    [
        (TERMS, "0", "0"),
        (TERMS, "1000", "10"),
        (TERMS, "1000.5", "8.004"),
        (TERMS, "10000", "80"),
        (TERMS, "15000", "75"),
        (WITH_FEES, "0", "0"),
        (WITH_FEES, "1000", "15"),
        (WITH_FEES, "1001", "11.008"),
        (WITH_FEES, "15000", "75"),
        (BILLED_AT_ZERO, "0", "5"),
        (BILLED_AT_ZERO, "1000", "15"),
        (BILLED_AT_ZERO, "15000", "75"),
    ],
)
def test_worked_examples(terms, quantity, charge):
    assert terms.charge(Decimal(quantity)) == Decimal(charge)


def test_the_charge_drops_where_a_cheaper_tier_begins():
    before, after = Decimal(1000), Decimal(1001)
    assert TERMS.charge(before) == Decimal(10)
    assert TERMS.charge(after) == Decimal("8.008")
    assert TERMS.marginal(before, after) == Decimal("-1.992")


def test_the_lines_name_the_tier_of_all_units():
    assert WITH_FEES.charges(Decimal(2000)) == (
        Charge("all units at tier 2", Decimal(2000), Decimal("0.008"), Decimal(16)),
        Charge("tier 2 flat fee", Decimal(0), None, Decimal(3)),
    )
    assert BILLED_AT_ZERO.charges(Decimal(0)) == (
        Charge("tier 1 flat fee", Decimal(0), None, Decimal(5)),
    )


@given(prices, quantities)
def test_one_tier_is_plain_per_unit(price, quantity):
    volume = parse_terms({"model": "VOLUME_TIERED", "tiers": [{"unitPrice": price}]})
    per_unit = parse_terms({"model": "PER_UNIT", "rate": price})
    assert volume.charge(quantity) == per_unit.charge(quantity)
