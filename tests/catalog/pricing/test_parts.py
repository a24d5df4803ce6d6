import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing import Part, parts_from_json, parts_to_json
from tests.catalog.pricing.strategies import quantities

pairs = st.tuples(st.text(max_size=5), st.text(max_size=5))
parts = st.builds(
    Part,
    quantities,
    st.integers(0, 9),
    st.none() | quantities,
    st.lists(pairs, max_size=3).map(tuple),
)


@given(st.lists(parts, max_size=4).map(tuple))
def test_parts_survive_json(kept):
    assert parts_from_json(json.loads(json.dumps(parts_to_json(kept)))) == kept


def test_how_parts_are_written():
    part = Part(Decimal("1.50"), 2, Decimal(3), (("region", "eu"),))
    assert parts_to_json([part, Part(Decimal(4))]) == [
        {"quantity": "1.5", "count": 2, "amount": "3", "dimensions": [["region", "eu"]]},
        {"quantity": "4", "count": 1},
    ]
    assert parts_from_json(None) == ()


@pytest.mark.parametrize("json", [{}, "x", [1]])
def test_other_json_is_not_parts(json):
    with pytest.raises(ValueError, match="must be a"):
        parts_from_json(json)
