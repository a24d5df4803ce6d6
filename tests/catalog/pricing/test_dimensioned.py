from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing import Charge, InvalidTerms, parse_terms
from catalog.pricing.dimensions import dimension_of
from catalog.pricing.per_unit import PerUnit
from tests.catalog.pricing.strategies import quantities

TOOLS = {
    "model": "PER_UNIT",
    "rate": "0.10",
    "includedFree": 5,
    "dimensionKey": "tool_name",
    "dimensionPricing": {"search": "1.5", "echo": 0},
}
TIERS = [{"tierEnd": 10, "unitPrice": 2, "flatFee": 7}, {"tierEnd": -1, "unitPrice": 1}]


def of(terms, **fields):
    return terms.of_dimension(dimension_of(terms.dimension_keys, fields))


def test_a_value_multiplies_its_charge():
    terms = parse_terms(TOOLS)
    assert terms.dimension_keys == ("tool_name",)
    assert of(terms, tool_name="search").charge(Decimal(25)) == Decimal(3)
    assert of(terms, tool_name="echo").charge(Decimal(25)) == 0
    assert of(terms, tool_name="other").charge(Decimal(25)) == Decimal(2)
    assert of(terms).charge(Decimal(25)) == Decimal(2)
    assert terms.of_dimension("").charge(Decimal(25)) == Decimal(2)


def test_the_lines_name_the_multiplier_and_show_the_price_it_makes():
    zero = Decimal(0)
    assert of(parse_terms(TOOLS), tool_name="search").charges(Decimal(25)) == (
        Charge("included (x 1.5)", Decimal(5), zero, zero),
        Charge("units (x 1.5)", Decimal(20), Decimal("0.15"), Decimal(3)),
    )


def test_terms_of_a_dimension_stay_those_of_that_dimension():
    search = of(parse_terms(TOOLS), tool_name="search")
    assert search.dimension_keys == ()
    assert search.of_dimension('{"tool_name":"echo"}') == search
    assert parse_terms(search.as_dict()) == search
    assert search.included_free == 5
    assert search.without_allowance().charge(Decimal(20)) == Decimal(3)


def test_groups_and_the_multiplied_key_make_one_dimension():
    terms = parse_terms({**TOOLS, "groupBy": ["region", "model"]})
    assert terms.dimension_keys == ("model", "region", "tool_name")
    priced = of(terms, region="eu", model="small", tool_name="search")
    assert priced.charge(Decimal(25)) == Decimal(3)
    assert of(terms, region="eu").charge(Decimal(25)) == Decimal(2)


def test_groups_without_multipliers_cost_what_the_plan_says():
    terms = parse_terms({"model": "PER_UNIT", "rate": 2, "groupBy": ["region"]})
    assert of(terms, region="eu") == PerUnit(Decimal(2))
    assert terms.charge(Decimal(3)) == 6


def test_dimensions_survive_the_wire():
    terms = parse_terms({**TOOLS, "groupBy": ["region"], "divideBy": 10, "creditsAllowed": True})
    assert terms.as_dict() == {
        "model": "PER_UNIT",
        "rate": "0.1",
        "includedFree": "5",
        "divideBy": "10",
        "groupBy": ["region"],
        "dimensionKey": "tool_name",
        "dimensionPricing": {"echo": "0", "search": "1.5"},
        "creditsAllowed": True,
    }
    assert parse_terms(terms.as_dict()) == terms
    assert hash(parse_terms(terms.as_dict())) == hash(terms)


def test_credited_terms_may_be_below_zero_wherever_they_are_read():
    wire = {"model": "PER_UNIT", "rate": "-0.5", "creditsAllowed": True}
    assert parse_terms(wire).charge(Decimal(3)) == Decimal("-1.5")
    assert parse_terms(parse_terms(wire).as_dict()) == parse_terms(wire)
    with pytest.raises(InvalidTerms, match="rate: must not be negative"):
        parse_terms({**wire, "creditsAllowed": False})


@given(st.lists(quantities, max_size=5), st.sampled_from(["search", "echo", "other"]))
def test_marginals_of_a_dimension_are_exact(levels, tool):
    terms = of(parse_terms(TOOLS), tool_name=tool)
    due = terms.charge(Decimal(0))
    assert due == 0
    for quantity in levels:
        assert terms.marginal(Decimal(0), quantity) == terms.charge(quantity)


@pytest.mark.parametrize(
    ("wire", "refusal"),
    [
        ({"model": "FLAT_RATE", "flatRate": 9, "groupBy": ["a"]}, "groupBy: must be absent"),
        ({"model": "FLAT_RATE", "flatRate": 9, "dimensionKey": "a"}, "dimensionKey: must be"),
        (
            {"model": "PERCENTAGE", "ratePercent": 1, "minFee": 5, "groupBy": ["a"]},
            "groupBy: must be absent: what is due without usage",
        ),
        (
            {"model": "GRADUATED", "tiers": TIERS, "billZeroTier": True, "groupBy": ["a"]},
            "groupBy: must be absent: what is due without usage",
        ),
        ({**TOOLS, "dimensionKey": None}, "dimensionKey: is required"),
        ({**TOOLS, "dimensionKey": ""}, "dimensionKey: must be a text"),
        ({**TOOLS, "groupBy": ["a", "b", "c"]}, "groupBy: must be a list of at most 2 names"),
        ({**TOOLS, "groupBy": ["a", "a"]}, "groupBy: must name each only once"),
        ({**TOOLS, "groupBy": ["a", ""]}, r"groupBy\[1\]: must be a name"),
        ({**TOOLS, "dimensionPricing": {"a": -1}}, "dimensionPricing.a: must not be negative"),
        ({**TOOLS, "dimensionPricing": {"": 1}}, "dimensionPricing: must not have an empty name"),
        ({**TOOLS, "dimensionPricing": [1]}, "dimensionPricing: must be an object"),
    ],
)
def test_dimensions_that_cannot_be_are_refused(wire, refusal):
    with pytest.raises(InvalidTerms, match=refusal):
        parse_terms(wire)
