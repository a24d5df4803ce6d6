"""What is taxed: discounts and credits are spread in whole minor units that add up."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pipeline import LineType
from billing.pipeline.tax_base import Part, taxable_bases


def part(number, amount, *, kind=LineType.CHARGE, code="", plan=1, of_line=None):
    version_id = None if plan is None else UUID(int=plan)
    return Part(number, kind, Decimal(amount), code, version_id, of_line)


def off(number, amount, **fields):
    return part(number, amount, kind=LineType.DISCOUNT, **fields)


def bases(*parts, currency="USD"):
    found = taxable_bases(parts, currency)
    return {part.number: str(base) for part, base in found.items()}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([part(1, "10.00"), part(2, "0.00")], {1: "10.00"}),
        ([part(1, "10.00"), part(2, "30.00"), off(3, "-4.00")], {1: "9.00", 2: "27.00"}),
        # a third of a cent each: the cents left over go to the largest fractions
        ([part(1, "1.00"), part(2, "1.00"), part(3, "1.01"), off(4, "-1.00")],
         {1: "0.67", 2: "0.67", 3: "0.67"}),
        # of a line, of a plan, of all
        ([part(1, "10.00"), part(2, "10.00"), off(3, "-4.00", of_line=2)],
         {1: "10.00", 2: "6.00"}),
        ([part(1, "10.00"), part(2, "10.00", plan=2), off(3, "-4.00", plan=2)],
         {1: "10.00", 2: "6.00"}),
        ([part(1, "10.00"), part(2, "10.00", plan=2), off(3, "-4.00", plan=None)],
         {1: "8.00", 2: "8.00"}),
        # what its own plan has no room for goes on to the others
        ([part(1, "10.00"), part(2, "10.00", plan=2), off(3, "-14.00", plan=2)], {1: "6.00"}),
        # a credit is spread likewise; what nothing has room for is taxed below zero
        ([part(1, "5.00"), part(2, "-8.00", kind=LineType.CREDIT, code="B")], {2: "-3.00"}),
        # usage taken back is a line of its own
        ([part(1, "5.00"), part(2, "-2.00", kind=LineType.USAGE_FEE, code="B")],
         {1: "5.00", 2: "-2.00"}),
    ],
)  # fmt: skip
def test_worked_bases(parts, expected):
    assert bases(*parts) == expected


def test_minor_units_are_those_of_the_currency():
    parts = [part(1, "1"), part(2, "1"), off(3, "-1")]
    assert sorted(bases(*parts, currency="JPY").values()) == ["1"]
    parts = [part(1, "0.003"), part(2, "0.003"), off(3, "-0.001")]
    assert sorted(bases(*parts, currency="KWD").values()) == ["0.002", "0.003"]


cents = st.integers(0, 10**6).map(lambda units: Decimal(units).scaleb(-2))
lines = st.lists(
    st.tuples(cents, st.sampled_from(["", "BOOKS"]), st.integers(1, 2)), min_size=1, max_size=6
)


@st.composite
def parts_and_discounts(draw):
    parts = [
        part(number, amount, code=code, plan=plan)
        for number, (amount, code, plan) in enumerate(draw(lines), start=1)
    ]
    takes = draw(st.lists(st.tuples(cents, st.sampled_from([None, 1, 2])), max_size=3))
    discounts = [
        off(number, -amount, plan=plan)
        for number, (amount, plan) in enumerate(takes, start=len(parts) + 1)
    ]
    return parts, discounts


@given(parts_and_discounts())
def test_bases_add_up_to_the_lines(drawn):
    parts, discounts = drawn
    found = taxable_bases([*parts, *discounts], "USD")
    assert sum(found.values()) == sum(one.amount for one in [*parts, *discounts])


@given(parts_and_discounts())
def test_no_line_falls_below_zero_while_another_has_room(drawn):
    parts, discounts = drawn
    values = taxable_bases([*parts, *discounts], "USD").values()
    assert all(value > 0 for value in values) or all(value < 0 for value in values)


@given(parts_and_discounts(), st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(drawn, random):
    parts, discounts = drawn
    shuffled = random.sample(parts, len(parts))

    def by_kind(ordered):
        found = taxable_bases([*ordered, *discounts], "USD")
        return sorted((base, one.tax_code, str(one.version_id)) for one, base in found.items())

    assert by_kind(parts) == by_kind(shuffled)
