import msgspec
import pytest

from metering.compat.quantities import quantity_of
from metering.ingest.events import Refusal

NAMED = {
    "tokens": frozenset({"tokens"}),
    "both": frozenset({"in", "out"}),
    "plain": frozenset(),
}


def raws(**fields):
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


@pytest.mark.parametrize(
    ("metric", "fields", "quantity"),
    [
        ("tokens", {"tokens": 12, "quantity": 3, "value": 4}, b"12"),
        ("tokens", {"tokens": "12.50"}, b'"12.50"'),
        ("tokens", {"quantity": 3, "value": 4}, b"3"),
        ("tokens", {"value": 4}, b"4"),
        ("both", {"in": 1, "out": 2, "quantity": 3}, b"3"),
        ("plain", {"value": "7"}, b'"7"'),
        ("plain", {}, b"1"),
        ("plain", {"value": "gold"}, b'"gold"'),  # the door refuses it: better than a wrong 1
        ("calls", {}, b"1"),
        ("calls", {"value": 5}, b"5"),
        ("calls", {"value": "gold"}, b"1"),  # nobody sums it
    ],
)
def test_the_units_field_comes_first_then_quantity_then_value_then_one(metric, fields, quantity):
    assert bytes(quantity_of(metric, raws(**fields), NAMED)) == quantity


@pytest.mark.parametrize("metric", ["tokens", "both"])
def test_a_sum_is_never_made_of_ones_by_mistake(metric):
    refused = quantity_of(metric, raws(model="large"), NAMED)
    assert isinstance(refused, Refusal)
    assert refused.code == "MISSING_FIELD"
