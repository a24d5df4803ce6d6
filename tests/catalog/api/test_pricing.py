import pytest

from tests.clients import operator_client

pytestmark = pytest.mark.django_db
GRADUATED = {
    "tiers": [
        {"tierEnd": 1000, "unitPrice": "0.010"},
        {"tierEnd": 10000, "unitPrice": "0.008"},
        {"tierEnd": -1, "unitPrice": "0.005"},
    ]
}


@pytest.fixture
def preview(tenant):
    client = operator_client(tenant, role="MEMBER")

    def preview(model, terms, **usage):
        body = {"model": model, "terms": terms, **usage}
        return client.post("/api/v1/pricing/preview", body)

    return preview


def test_a_quantity_is_priced_line_by_line(preview):
    answer = preview("GRADUATED", GRADUATED, quantity=15000)
    assert answer.status_code == 200
    shown = answer.json()
    assert shown["amount"] == "107"
    assert [(line["quantity"], line["unitPrice"], line["amount"]) for line in shown["lines"]] == [
        ("1000", "0.01", "10"),
        ("9000", "0.008", "72"),
        ("5000", "0.005", "25"),
    ]
    assert shown["marginals"] == []
    assert shown["data"]["amount"] == "107"


def test_the_same_tiers_by_volume(preview):
    assert preview("VOLUME_TIERED", GRADUATED, quantity="15000").json()["amount"] == "75"


def test_events_are_priced_one_by_one(preview):
    events = [{"quantity": 999}, {"quantity": 2}, {"quantity": "0.5"}]
    shown = preview("GRADUATED", GRADUATED, events=events).json()
    assert shown["marginals"] == ["9.99", "0.018", "0.004"]
    assert shown["amount"] == "10.012"


def test_events_are_transactions(preview):
    terms = {"ratePercent": 2.9, "fixedFee": "0.30"}
    shown = preview("PERCENTAGE", terms, events=[{"quantity": 100}, {"quantity": 10}]).json()
    assert shown["marginals"] == ["3.2", "0.59"]
    assert shown["amount"] == "3.79"


def test_no_events_cost_what_nothing_costs(preview):
    shown = preview("FLAT_RATE", {"flatRate": "9"}, events=[]).json()
    assert (shown["amount"], shown["marginals"]) == ("9", [])


def test_no_digit_is_lost(preview):
    quantity = "123456789012345678901234.123456789012"
    shown = preview("PER_UNIT", {"rate": "0.000000000001"}, quantity=quantity).json()
    assert shown["amount"] == "123456789012.345678901234123456789012"


@pytest.mark.parametrize(
    ("model", "terms", "usage", "field"),
    [
        ("GRADUATED", {"tiers": []}, {"quantity": 1}, "terms.tiers"),
        ("PER_UNIT", {}, {"quantity": 1}, "terms.rate"),
        ("PER_UNIT", {"rate": -1}, {"quantity": 1}, "terms.rate"),
        ("MAGIC", {}, {"quantity": 1}, "model"),
        (None, {"rate": 1}, {"quantity": 1}, "model"),
        ("PER_UNIT", {"rate": 1}, {"quantity": -1}, "quantity"),
        ("PER_UNIT", {"rate": 1}, {"quantity": "NaN"}, "quantity"),
        ("PER_UNIT", {"rate": 1}, {"quantity": "1e24"}, "quantity"),
        ("PER_UNIT", {"rate": 1}, {"quantity": "1e-13"}, "quantity"),
        ("PER_UNIT", {"rate": 1}, {}, "quantity"),
        ("PER_UNIT", {"rate": 1}, {"quantity": 1, "events": []}, "quantity"),
        ("PER_UNIT", {"rate": 1}, {"events": [{"quantity": -1}]}, "events[0].quantity"),
        ("PER_UNIT", {"rate": 1}, {"events": [1]}, "events[0]"),
        ("PER_UNIT", "rate", {"quantity": 1}, "terms"),
        ("PER_UNIT", {"rate": 1}, {"upTo": 0}, "upTo"),
        ("PER_UNIT", {"rate": 1}, {"upTo": "x"}, "upTo"),
        (
            "DYNAMIC",
            {"amountField": "cost"},
            {"events": [{"quantity": 1, "metadata": {"cost": 1}}, {"quantity": 1}]},
            "events[1].metadata.cost",
        ),
        ("MATRIX", {"dimensions": ["a"]}, {"quantity": 1}, "terms.defaultRate"),
    ],
)
def test_what_cannot_be_priced_is_refused_by_field(preview, model, terms, usage, field):
    answer = preview(model, terms, **usage)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


MATRIX = {
    "dimensions": ["model", "region"],
    "cells": [{"values": {"model": "large"}, "rate": "0.03"}],
    "defaultRate": "0.01",
}


def test_events_of_a_matrix_say_which_cell_they_are_in(preview):
    events = [
        {"quantity": 100, "metadata": {"model": "large", "region": "eu"}},
        {"quantity": 50, "metadata": {"model": "small"}},
    ]
    shown = preview("MATRIX", MATRIX, events=events).json()
    assert (shown["amount"], shown["marginals"]) == ("3.5", ["3", "0.5"])
    assert [(line["label"], line["amount"]) for line in shown["lines"]] == [
        ("any other", "0.5"),
        ("model large, region *", "3"),
    ]
    assert preview("MATRIX", MATRIX, quantity=100).json()["amount"] == "1"
    large = preview("MATRIX", MATRIX, quantity=100, metadata={"model": "large"}).json()
    assert large["amount"] == "3"


def test_events_bring_their_own_amounts(preview):
    terms = {"amountField": "cost", "markupPercent": 10}
    events = [{"quantity": 1, "amount": "2.50"}, {"quantity": 1, "metadata": {"cost": 0.5}}]
    shown = preview("DYNAMIC", terms, events=events).json()
    assert (shown["amount"], shown["marginals"]) == ("3.3", ["2.75", "0.55"])


def test_every_dimension_is_priced_by_itself(preview):
    terms = {
        "rate": 1,
        "includedFree": 10,
        "groupBy": ["region"],
        "dimensionKey": "tool",
        "dimensionPricing": {"search": 2},
    }
    events = [
        {"quantity": 12, "metadata": {"region": "eu", "tool": "search"}},
        {"quantity": 12, "metadata": {"region": "us"}},
        {"quantity": 1, "metadata": {"region": "eu", "tool": "search"}},
    ]
    shown = preview("PER_UNIT", terms, events=events).json()
    assert (shown["amount"], shown["marginals"]) == ("8", ["4", "2", "2"])
    assert [(line["dimension"], line["amount"]) for line in shown["lines"]] == [
        ("region: eu, tool: search", "0"),
        ("region: eu, tool: search", "6"),
        ("region: us, tool: (none)", "0"),
        ("region: us, tool: (none)", "2"),
    ]


def test_a_curve_has_a_point_at_every_bound_and_past_it(preview):
    shown = preview("VOLUME_TIERED", GRADUATED, upTo=20000).json()
    assert shown["amount"] == "100"
    points = {point["quantity"]: point for point in shown["curve"]}
    assert points["0"] == {"quantity": "0", "amount": "0", "marginal": "0", "average": None}
    assert points["10000"]["average"] == "0.008"
    assert points["10001"]["marginal"] == "-29.995"
    assert points["20000"]["amount"] == "100"
    assert list(points) == sorted(points, key=int)
    assert {"1000", "1001", "2000", "19000"} < points.keys()
    assert preview("VOLUME_TIERED", GRADUATED, quantity=1).json()["curve"] == []


def test_a_curve_is_of_what_its_metadata_say(preview):
    terms = {"rate": 1, "dimensionKey": "tool", "dimensionPricing": {"search": 2}}
    shown = preview("PER_UNIT", terms, upTo=2, metadata={"tool": "search"}).json()
    assert [(point["quantity"], point["amount"]) for point in shown["curve"][-2:]] == [
        ("1.9", "3.8"),
        ("2", "4"),
    ]
