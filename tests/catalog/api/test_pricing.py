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
        ("PER_UNIT", {"rate": 1}, {"events": [{"quantity": -1}]}, "events.0.quantity"),
        ("PER_UNIT", {"rate": 1}, {"events": [1]}, "events.0"),
        ("PER_UNIT", "rate", {"quantity": 1}, "terms"),
    ],
)
def test_what_cannot_be_priced_is_refused_by_field(preview, model, terms, usage, field):
    answer = preview(model, terms, **usage)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
