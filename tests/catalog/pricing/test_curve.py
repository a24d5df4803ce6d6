from decimal import Decimal
from itertools import pairwise

from hypothesis import given

from catalog.pricing import parse_terms
from catalog.pricing.curve import Point, curve
from tests.catalog.pricing.strategies import quantities, terms_of

TIERS = [{"tierEnd": 1000, "unitPrice": "0.010"}, {"tierEnd": -1, "unitPrice": "0.008"}]


def of(wire, up_to):
    terms = parse_terms(wire)
    return curve(terms.charge, bounds=terms.bounds, up_to=Decimal(up_to))


def test_a_curve_shows_where_the_price_changes():
    points = {point.quantity: point for point in of({"model": "GRADUATED", "tiers": TIERS}, 4000)}
    assert points[Decimal(1000)] == Point(
        Decimal(1000), Decimal(10), Decimal("0.010"), Decimal("0.01")
    )
    assert points[Decimal(1001)].marginal == Decimal("0.008")
    assert points[Decimal(4000)].average == Decimal("0.0085")
    assert sorted(points) == [0, 200, 400, 600, 800, 1000, 1001, *range(1200, 4001, 200)]


def test_bounds_are_in_what_is_counted():
    wire = {"model": "PER_UNIT", "rate": 1, "includedFree": 10, "divideBy": 60}
    points = of(wire, 1200)
    assert [point.quantity for point in points if 590 < point.quantity < 610] == [600, 601]


def test_few_units_are_split_into_fractions():
    points = of({"model": "PER_UNIT", "rate": 1}, 1)
    assert [point.quantity for point in points[:3]] == [0, Decimal("0.05"), Decimal("0.1")]
    assert len(points) == 21


@given(terms_of(), quantities.filter(bool))
def test_a_curve_goes_from_nothing_to_the_end(terms, up_to):
    points = curve(terms.charge, bounds=terms.bounds, up_to=up_to)
    assert (points[0].quantity, points[-1].quantity) == (0, up_to)
    assert points[0].amount == terms.charge(Decimal(0))
    assert points[-1].amount == terms.charge(up_to)
    assert all(before.quantity < after.quantity for before, after in pairwise(points))
