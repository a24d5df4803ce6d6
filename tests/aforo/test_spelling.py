"""Names on the wire."""

import pytest

from aforo.spelling import on_the_wire


@pytest.mark.parametrize(
    ("name", "wire"), [("id", "id"), ("rate_plan_id", "ratePlanId"), ("a_b", "aB")]
)
def test_names_are_camel_case_on_the_wire(name, wire):
    assert on_the_wire(name) == wire
