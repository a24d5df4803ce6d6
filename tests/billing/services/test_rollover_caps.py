from decimal import Decimal
from types import SimpleNamespace

from billing.services.contracts import Price
from catalog.pricing import parse_terms


def test_a_cap_in_percent_of_a_prorated_allowance_has_decimals_that_terms_can_hold():
    terms = parse_terms({"model": "PER_UNIT", "rate": "10", "includedFree": "0.853297442799"})
    row = SimpleNamespace(rollover_cap=None, rollover_cap_percent=Decimal(50))
    cap = Price(source=SimpleNamespace(row=row), terms=terms).rollover_cap
    assert cap == Decimal("0.4266487214")
    parse_terms({"model": "PER_UNIT", "rate": "10", "includedFree": str(cap + 1)})
