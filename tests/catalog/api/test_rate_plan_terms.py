"""Everything that a plan may say beside its models, as clients write it."""

import pytest

from catalog.models import RatePlanVersion
from tests.clients import operator_client
from tests.factories import BillableUnitFactory

pytestmark = pytest.mark.django_db
TERMS = {
    "baseFee": "49",
    "baseFeeTiming": "ADVANCE",
    "setupFee": "100",
    "minimumSpend": "50",
    "maximumSpend": "5000",
    "proration": "DAY",
    "dimensionKey": "tool",
    "dimensionPricing": {"echo": "0", "search": "1.5"},
    "creditsAllowed": True,
    "taxCode": "SaaS",
    "currencies": [
        {
            "currency": "EUR",
            "baseFee": "45",
            "setupFee": "90",
            "minimumSpend": "45",
            "maximumSpend": None,
            "discountAmount": "0",
        }
    ],
}
CONFIG = {
    "metricName": "calls",
    "model": "PER_UNIT",
    "rate": "0.01",
    "includedFree": "1000",
    "groupBy": ["region"],
    "rolloverPeriods": 2,
    "rolloverCap": "500",
    "rolloverCapPercent": "25",
}


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


@pytest.fixture
def post(client, tenant):
    BillableUnitFactory(tenant=tenant, name="calls", aggregation="SUM")

    def post(*configs, **fields):
        body = {"name": "Pro", "metricConfigs": configs, **fields}
        return client.post("/api/v1/rateplans", body)

    return post


def test_a_plan_is_answered_as_it_was_written(post, client):
    euros = {"metricName": "calls", "currency": "EUR", "rate": "0.009"}
    answer = post(CONFIG, euros, **TERMS)
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert {key: shown[key] for key in TERMS} == TERMS
    own, other = shown["metricConfigs"]
    assert {key: own[key] for key in CONFIG} == CONFIG
    assert own["terms"] == {"model": "PER_UNIT", "rate": "0.01", "includedFree": "1000"}
    assert (own["currency"], other["currency"], other["rate"]) == (None, "EUR", "0.009")
    version = RatePlanVersion.objects.get()
    assert version.prices.first().terms["dimensionPricing"] == TERMS["dimensionPricing"]
    again = {**{key: shown[key] for key in TERMS}, "metricConfigs": shown["metricConfigs"]}
    copied = client.post("/api/v1/rateplans", {"name": "Pro 2", **again})
    assert copied.status_code == 201, copied.json()
    assert copied.json()["metricConfigs"] == shown["metricConfigs"]


def test_nulls_say_nothing(post):
    nulls = dict.fromkeys(("setupFee", "maximumSpend", "dimensionPricing"))
    config = {**CONFIG, "groupBy": None, "rolloverPeriods": None, "rolloverCap": None}
    answer = post({**config, "rolloverCapPercent": None}, **nulls)
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert (shown["setupFee"], shown["maximumSpend"]) == ("0", None)
    assert (shown["dimensionPricing"], shown["currencies"]) == ({}, [])
    assert shown["metricConfigs"][0]["groupBy"] == []


@pytest.mark.parametrize(
    ("config", "terms"),
    [
        (
            {
                "model": "MATRIX",
                "rate": 0,
                "dimensions": ["model", "region"],
                "cells": [{"values": {"model": "large"}, "rate": 0.03}],
                "defaultRate": "0.01",
            },
            {
                "model": "MATRIX",
                "dimensions": ["model", "region"],
                "cells": [{"values": {"model": "large", "region": "*"}, "rate": "0.03"}],
                "defaultRate": "0.01",
            },
        ),
        (
            {"model": "DYNAMIC", "rate": 0, "amountField": "cost", "markupPercent": 20},
            {"model": "DYNAMIC", "amountField": "cost", "markupPercent": "20"},
        ),
        (
            {
                "model": "PERCENTAGE",
                "rate": 2.9,
                "minPerTransaction": "0.25",
                "maxPerTransaction": 5,
                "freeTransactions": 0,
            },
            {
                "model": "PERCENTAGE",
                "ratePercent": "2.9",
                "minPerTransaction": "0.25",
                "maxPerTransaction": "5",
                "fixedFee": "0",
            },
        ),
    ],
)
def test_single_events_can_be_priced(post, config, terms):
    answer = post({"metricName": "calls", **config})
    assert answer.status_code == 201, answer.json()
    assert answer.json()["metricConfigs"][0]["terms"] == terms


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"groupBy": "region"}, "groupBy"),
        ({"groupBy": ["a", "b", "c"]}, "groupBy"),
        ({"rolloverPeriods": -1}, "rolloverPeriods"),
        ({"rolloverPeriods": 1.5}, "rolloverPeriods"),
        ({"rolloverPeriods": 1, "rolloverCap": "x"}, "rolloverCap"),
        ({"rolloverCap": 5}, "rolloverCap"),
        ({"billingTiming": "ADVANCE"}, "billingTiming"),
        ({"currency": "EURO"}, "currency"),
        ({"model": "FLAT_RATE", "rolloverPeriods": 1}, "rolloverPeriods"),
        ({"model": "MATRIX", "rate": 0, "dimensions": ["a"]}, "defaultRate"),
        ({"model": "DYNAMIC", "rate": 0}, "amountField"),
        ({"model": "DYNAMIC", "rate": 0, "amountField": "a", "includedFree": 5}, "includedFree"),
        (
            {"model": "PERCENTAGE", "rate": 1, "minPerTransaction": 1, "freeTransactions": 2},
            "freeTransactions",
        ),
    ],
)
def test_what_is_wrong_is_refused_where_it_stands(post, config, field):
    answer = post({"metricName": "calls", "rate": 1, **config})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"metricConfigs[0].{field}"]
    assert RatePlanVersion.objects.count() == 0


def test_currencies_of_a_draft_are_replaced(post, client):
    plan = post(CONFIG, status="DRAFT", **TERMS).json()
    path = f"/api/v1/rateplans/{plan['id']}"
    pounds = [{"currency": "GBP", "baseFee": "40"}]
    shown = client.patch(path, {"currencies": pounds}).json()
    assert [(row["currency"], row["baseFee"]) for row in shown["currencies"]] == [("GBP", "40")]
    refused = client.post(f"{path}/publish")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["message"] == "'calls' has no price in GBP"
