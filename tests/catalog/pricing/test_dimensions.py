from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.dimensions import LONGEST_VALUE, dimension_of, label_of, values_in

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


def test_no_keys_are_no_dimension():
    assert dimension_of((), {"region": "eu"}) == ""
    assert values_in("") == {}
    assert label_of("") == ""


def test_a_dimension_is_the_values_of_its_keys_in_order_of_the_keys():
    fields = {"region": "eu", "model": "gpt-4", "other": 1}
    dimension = dimension_of(("region", "model"), fields)
    assert dimension == '{"model":"gpt-4","region":"eu"}'
    assert dimension == dimension_of(("model", "region"), fields)
    assert values_in(dimension) == {"model": "gpt-4", "region": "eu"}
    assert label_of(dimension) == "model: gpt-4, region: eu"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("eu", "eu"),
        (None, ""),
        (1, "1"),
        (Decimal("1.0"), "1"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E+400"), "1E+400"),
        (Decimal("-0.50"), "-0.5"),
        (True, "true"),
        (False, "false"),
        (["a", {"b": Decimal("1.5")}], '["a",{"b":"1.5"}]'),
        ("größe", "größe"),
    ],
)
def test_values_are_text(value, text):
    assert values_in(dimension_of(("key",), {"key": value})) == {"key": text}


def test_an_absent_key_is_an_empty_value():
    assert dimension_of(("region",), {}) == dimension_of(("region",), {"region": None})
    assert label_of(dimension_of(("region",), {})) == "region: (none)"


def test_text_that_is_no_dimension_is_its_own_label():
    assert values_in("east") == values_in("7") == {}
    assert label_of("east") == "east"


@given(st.dictionaries(texts, texts, min_size=1, max_size=3))
def test_short_values_survive(fields):
    values = values_in(dimension_of(tuple(fields), fields))
    assert list(values) == sorted(fields)
    for key, value in fields.items():
        assert len(values[key]) <= LONGEST_VALUE
        assert values[key] == value or len(value) > LONGEST_VALUE


def test_a_key_in_snake_case_is_found_in_camel_case_too():
    named = dimension_of(("tool_name",), {"toolName": "search"})
    assert named == dimension_of(("tool_name",), {"tool_name": "search", "toolName": "other"})
    assert values_in(named) == {"tool_name": "search"}


def test_long_values_are_cut_and_stay_apart():
    one, other = ("x" * 5000 + end for end in "ab")
    first, second = (dimension_of(("key",), {"key": value}) for value in (one, other))
    assert first != second
    assert len(first) < 140
