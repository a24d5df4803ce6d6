from decimal import Decimal

import pytest
from hypothesis import given

from catalog.pricing import FREE, InvalidTerms, Part, Usage, parse_terms
from tests.catalog.pricing.strategies import usages


@given(usages)
def test_everything_costs_nothing(usage):
    assert FREE.charge(usage) == 0
    assert sum(line.amount for line in FREE.charges(usage)) == 0
    after = FREE.add(usage, Part(Decimal(1)))
    assert FREE.marginal(usage, after) == 0
    assert FREE.remove(after, Part(Decimal(1))) == usage


def test_free_terms_look_at_nothing_but_the_quantity():
    assert FREE.dimension_keys == FREE.part_keys == ()
    assert FREE.of_dimension('{"region":"eu"}') is FREE
    assert FREE.prorated(Decimal(1), Decimal(2)) is FREE
    assert FREE.with_allowance(Decimal(5)) is FREE
    assert not FREE.keeps_parts
    assert not FREE.has_hard_limit
    assert [(line.label, line.quantity) for line in FREE.charges(Usage(Decimal(3)))] == [
        ("free of charge", 3)
    ]


def test_no_plan_can_ask_for_it():
    with pytest.raises(InvalidTerms, match="model: must be one of"):
        parse_terms(FREE.as_dict())
