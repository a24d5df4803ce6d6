"""What a contract says of a unit goes before the plan, as far as the plan's model can take it."""

from decimal import Decimal

import pytest

from catalog.selectors.prices import terms_in_period
from tests.factories import PER_UNIT

FLAT = {"model": "FLAT_RATE", "flatRate": "5"}


@pytest.mark.parametrize(
    ("plan", "agreed", "allowance", "charge"),
    [
        (PER_UNIT, None, None, "10"),
        (PER_UNIT, {"model": "PER_UNIT", "rate": "0.02"}, None, "20"),
        (PER_UNIT, None, Decimal(500), "5"),
        (PER_UNIT | {"includedFree": "100"}, None, Decimal(0), "10"),
        (FLAT, None, Decimal(500), "5"),
        (FLAT, PER_UNIT, None, "10"),
    ],
)
def test_a_thousand_units_cost_what_was_agreed(plan, agreed, allowance, charge):
    terms = terms_in_period(plan, agreed_wire=agreed, agreed_allowance=allowance)
    assert terms.charge(Decimal(1000)) == Decimal(charge)


def test_a_trial_is_free_whatever_was_agreed():
    terms = terms_in_period(FLAT, is_trial=True, agreed_wire=PER_UNIT, agreed_allowance=None)
    assert terms.charge(Decimal(1000)) == 0
