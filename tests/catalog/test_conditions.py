from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.conditions import OPERATORS, InvalidConditions, compile_conditions


def holds(operator, value, fields):
    return compile_conditions([{"field": "f", "operator": operator, "value": value}])(fields)


@pytest.mark.parametrize(
    ("operator", "value", "field", "expected"),
    [
        ("EQUALS", "gpt-4", "gpt-4", True),
        ("EQUALS", "gpt-4", "gpt-4o", False),
        ("EQUALS", "400", 400, True),
        ("EQUALS", "400", "400.0", True),
        ("EQUALS", "0.1", 0.1, True),
        ("EQUALS", "0.1", Decimal("0.10"), True),
        ("EQUALS", "true", True, True),
        ("EQUALS", "1", True, False),
        ("EQUALS", "1e2", "100", True),
        ("EQUALS", "", "", True),
        ("EQUALS", "a", ["a"], False),
        ("NOT_EQUALS", "400", 400, False),
        ("NOT_EQUALS", "400", 401, True),
        ("LESS_THAN", "400", 399, True),
        ("LESS_THAN", "400", 400, False),
        ("LESS_THAN", "400", "99", True),  # as text it would come after
        ("LESS_THAN", "400", "5xx", False),
        ("LESS_THAN", "2026-02-01", "2026-01-31", True),
        ("GREATER_THAN", "400", 400, False),
        ("GREATER_THAN", "400", "400.000000000001", True),
        ("GREATER_THAN", "-1", 0, True),
        ("GREATER_THAN", "b", "c", True),
        ("GREATER_THAN", "b", 3, False),
        ("CONTAINS", "gpt", "openai/gpt-4", True),
        ("CONTAINS", "gpt", "mistral", False),
        ("CONTAINS", "tools", ["code", "tools"], True),
        ("CONTAINS", "tool", ["code", "tools"], False),
        ("CONTAINS", "2", [1, 2], True),
        ("NOT_CONTAINS", "gpt", "mistral", True),
        ("NOT_CONTAINS", "gpt", "gpt-4", False),
        ("IN", "eu, us ,ap", "us", True),
        ("IN", "eu,us", "sa", False),
        ("IN", "200,201", 201, True),
        ("NOT_IN", "200,201", 404, True),
        ("NOT_IN", "200,201", 200, False),
    ],
)
def test_a_condition_compares_the_field_with_its_value(operator, value, field, expected):
    assert holds(operator, value, {"f": field}) is expected


@pytest.mark.parametrize("fields", [{}, {"f": None}, {"other": "a"}])
@pytest.mark.parametrize("operator", list(OPERATORS))
def test_an_absent_field_meets_only_negations(operator, fields):
    assert holds(operator, "a", fields) is operator.startswith("NOT_")


def test_no_condition_counts_everything():
    assert compile_conditions([])({}) is True


def test_all_conditions_must_hold():
    test = compile_conditions(
        [
            {"field": "status", "operator": "LESS_THAN", "value": "400"},
            {"field": "region", "operator": "IN", "value": "eu,us"},
        ]
    )
    assert test({"status": 200, "region": "eu"}) is True
    assert test({"status": 500, "region": "eu"}) is False
    assert test({"status": 200, "region": "ap"}) is False


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        (None, "filterConditions"),
        ("status", "filterConditions"),
        ({"field": "f"}, "filterConditions"),
        (["status"], "filterConditions[0]"),
        ([{"operator": "EQUALS", "value": "1"}], "filterConditions[0].field"),
        ([{"field": " ", "operator": "EQUALS", "value": "1"}], "filterConditions[0].field"),
        ([{"field": "f", "operator": "LIKE", "value": "1"}], "filterConditions[0].operator"),
        ([{"field": "f", "operator": ["IN"], "value": "1"}], "filterConditions[0].operator"),
        ([{"field": "f", "operator": "EQUALS"}], "filterConditions[0].value"),
        ([{"field": "f", "operator": "EQUALS", "value": 1}], "filterConditions[0].value"),
        ([{"field": "f", "operator": "EQUALS", "value": "x" * 1001}], "filterConditions[0].value"),
        ([{"field": "f", "operator": "IN", "value": " , "}], "filterConditions[0].value"),
        (
            [{"field": "f", "operator": "EQUALS", "value": "1", "or": []}],
            "filterConditions[0].or",
        ),
        ([{"field": "f", "operator": "EQUALS", "value": "1"}] * 21, "filterConditions"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_field(conditions, field):
    with pytest.raises(InvalidConditions) as refusal:
        compile_conditions(conditions)
    assert refusal.value.field == field
    assert isinstance(refusal.value, ValueError)
    assert str(refusal.value).startswith(f"{field}: ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["EQUALS", "CONTAINS", "IN"]), st.text(min_size=1), json_values)
def test_a_negation_is_true_where_its_opposite_is_false(operator, value, field):
    if operator == "IN" and not value.replace(",", "").strip():
        return
    assert holds(operator, value, {"f": field}) is not holds(f"NOT_{operator}", value, {"f": field})


@given(st.integers(), st.integers())
def test_numbers_are_ordered_as_numbers(bound, value):
    assert holds("LESS_THAN", str(bound), {"f": value}) is (value < bound)
    assert holds("GREATER_THAN", str(bound), {"f": str(value)}) is (value > bound)
