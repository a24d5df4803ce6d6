from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given

from catalog.pricing import Charge, parse_terms
from catalog.pricing.included_quota import blocks_begun
from tests.catalog.pricing.strategies import quantities, small

QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": 1000, "rate": "0.50"}
BLOCKS = {**QUOTA, "blockSize": 100}
ZERO = Decimal(0)


@pytest.mark.parametrize(
    ("terms", "quantity", "charge"),
    [
        (QUOTA, "0", "0"),
        (QUOTA, "1000", "0"),
        (QUOTA, "1000.5", "0.25"),
        (QUOTA, "1250", "125"),
        (BLOCKS, "1000", "0"),
        (BLOCKS, "1000.000000000001", "0.5"),
        (BLOCKS, "1001", "0.5"),
        (BLOCKS, "1100", "0.5"),
        (BLOCKS, "1101", "1"),
        (BLOCKS, "1250", "1.5"),
        ({**QUOTA, "blockSize": "0.25"}, "1001", "2"),
        ({**BLOCKS, "ovBehavior": "IGNORE"}, "1250", "0"),
        ({**BLOCKS, "ovBehavior": "BLOCK"}, "1250", "0"),
    ],
)
def test_worked_examples(terms, quantity, charge):
    assert parse_terms(terms).charge(Decimal(quantity)) == Decimal(charge)


def test_the_overage_line_names_its_blocks():
    included = Charge("included", Decimal(1000), ZERO, ZERO)
    assert parse_terms(BLOCKS).charges(Decimal(1250)) == (
        included,
        Charge("overage, 3 blocks of 100 at 0.5", Decimal(250), None, Decimal("1.5")),
    )
    assert parse_terms(BLOCKS).charges(Decimal(1001)) == (
        included,
        Charge("overage, 1 block of 100 at 0.5", Decimal(1), None, Decimal("0.5")),
    )
    assert parse_terms(QUOTA).charges(Decimal(1250)) == (
        included,
        Charge("overage", Decimal(250), Decimal("0.5"), Decimal(125)),
    )


@pytest.mark.parametrize(
    ("behavior", "label"),
    [("IGNORE", "overage, not charged"), ("BLOCK", "beyond the limit, not billable")],
)
def test_overage_that_costs_nothing_is_still_shown(behavior, label):
    terms = parse_terms({**QUOTA, "ovBehavior": behavior})
    assert terms.charges(Decimal(1250))[-1] == Charge(label, Decimal(250), ZERO, ZERO)


def test_a_quota_whose_overage_is_never_charged_needs_no_rate():
    terms = {"model": "INCLUDED_QUOTA", "includedFree": 10, "ovBehavior": "BLOCK"}
    assert parse_terms(terms).charge(Decimal(99)) == 0


@given(quantities, small.filter(bool))
def test_blocks_are_the_quotient_rounded_up(quantity, size):
    assert blocks_begun(quantity, size) == ceil(Fraction(quantity) / Fraction(size))
