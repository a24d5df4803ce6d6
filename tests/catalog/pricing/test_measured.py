from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import EXACT
from catalog.pricing import InvalidTerms, Part, Usage, parse_terms
from catalog.pricing.per_unit import PerUnit
from tests.catalog.pricing.strategies import quantities

GB = {"model": "PER_UNIT", "rate": "0.09", "includedFree": 10, "divideBy": 1_000_000_000}


@pytest.mark.parametrize(
    ("measure", "quantity", "priced_as"),
    [
        ({"divideBy": 1000}, "1500", "1.5"),
        ({"divideBy": 3}, "1", "0.333333333333"),
        ({"rounding": "CEIL"}, "1.000000000001", "2"),
        ({"rounding": "FLOOR"}, "1.999999999999", "1"),
        ({"rounding": "ROUND"}, "2.5", "2"),
        ({"rounding": "ROUND"}, "3.5", "4"),
        ({"rounding": "ROUND", "roundingPlaces": 2}, "1.005", "1"),
        ({"rounding": "CEIL", "roundingPlaces": 1}, "1.01", "1.1"),
        ({"rounding": "CEIL", "divideBy": 60}, "61", "2"),
        ({"rounding": "FLOOR", "divideBy": "0.5"}, "1.3", "2"),
    ],
)
def test_what_a_quantity_is_priced_as(measure, quantity, priced_as):
    terms = parse_terms({"model": "PER_UNIT", "rate": 1, **measure})
    assert terms.measured(Decimal(quantity)) == Decimal(priced_as)
    assert terms.charge(Decimal(quantity)) == Decimal(priced_as)
    assert terms.unmeasured().charge(Decimal(priced_as)) == Decimal(priced_as)


def test_allowance_and_rate_are_in_what_comes_out():
    terms = parse_terms(GB)
    assert terms.charge(Decimal(25_500_000_000)) == Decimal("1.395")
    assert terms.included_free == 10
    assert [(line.label, line.quantity) for line in terms.charges(Decimal(25_500_000_000))] == [
        ("included", 10),
        ("units", Decimal("15.5")),
    ]
    net = terms.measured(Decimal(25_500_000_000)) - terms.included_free
    assert terms.unmeasured().without_allowance().charge(net) == Decimal("1.395")
    assert terms.with_allowance(Decimal(20)).charge(Decimal(25_500_000_000)) == Decimal("0.495")


@pytest.mark.parametrize("nothing", [{}, {"divideBy": 1}, {"divideBy": "1.0", "rounding": ""}])
def test_what_asks_for_no_measure_is_no_wrapper(nothing):
    assert type(parse_terms({"model": "PER_UNIT", "rate": 1, **nothing})) is PerUnit


@given(
    st.lists(st.builds(Part, quantities), max_size=6),
    st.sampled_from(["", "ROUND", "CEIL", "FLOOR"]),
    st.integers(1, 5000),
)
def test_marginals_of_measured_quantities_make_the_charge(events, rounding, divide_by):
    terms = parse_terms({**GB, "includedFree": 2, "divideBy": divide_by, "rounding": rounding})
    usage, due = Usage(Decimal(0)), terms.charge(Decimal(0))
    for event in events:
        after = terms.add(usage, event)
        due, usage = EXACT.add(due, terms.marginal(usage, after)), after
    assert due == terms.charge(usage)
    for event in reversed(events):
        usage = terms.remove(usage, event)
    assert usage == Usage(Decimal(0))


def test_measures_survive_the_wire():
    wire = {**GB, "rounding": "CEIL", "roundingPlaces": 3}
    assert parse_terms(wire).as_dict() == {
        "model": "PER_UNIT",
        "rate": "0.09",
        "includedFree": "10",
        "divideBy": "1000000000",
        "rounding": "CEIL",
        "roundingPlaces": 3,
    }
    assert parse_terms(parse_terms(wire).as_dict()) == parse_terms(wire)


@pytest.mark.parametrize(
    ("measure", "refusal"),
    [
        ({"divideBy": 0}, "divideBy: must be above 0"),
        ({"divideBy": -2}, "divideBy: must be above 0"),
        ({"rounding": "UP"}, "rounding: must be one of"),
        ({"roundingPlaces": 2}, "roundingPlaces: says nothing without rounding"),
        ({"rounding": "CEIL", "roundingPlaces": 13}, "roundingPlaces: must be at most 12"),
        ({"rounding": "CEIL", "roundingPlaces": "1.5"}, "roundingPlaces: must be a whole number"),
    ],
)
def test_measures_that_cannot_be_are_refused(measure, refusal):
    with pytest.raises(InvalidTerms, match=refusal):
        parse_terms({"model": "PER_UNIT", "rate": 1, **measure})
