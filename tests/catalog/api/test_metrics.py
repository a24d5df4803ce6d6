import pytest

from catalog.models import BillableUnit
from tests.clients import operator_client
from tests.factories import (
    PER_UNIT,
    BillableUnitFactory,
    ProductFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


def test_a_metric_is_a_billable_unit(client, tenant):
    product = ProductFactory(tenant=tenant)
    body = {
        "name": "EU callers",
        "unitLabel": "user",
        "aggregationType": "COUNT_DISTINCT",
        "eventField": "user_id",
        "sourceMetric": "api_calls",
        "filterConditions": [{"field": "region", "operator": "EQUALS", "value": "eu"}],
        "unitCost": 0.0004,
        "productType": "AI_AGENT",
        "productIds": [str(product.id)],
    }
    answer = client.post("/api/v1/metrics", body)
    assert answer.status_code == 201
    shown = answer.json()
    expected = body | {"aggregation": "UNIQUE", "unitCost": "0.0004"}
    assert {key: shown[key] for key in expected} == expected
    unit = BillableUnit.objects.get()
    assert (str(unit.id), unit.aggregation) == (shown["id"], "UNIQUE")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "aggregationType": "MEDIAN"}, "aggregationType"),
        ({"name": "x", "divideBy": 0}, "divideBy"),
        ({"name": "x", "rounding": "UP"}, "rounding"),
        ({"name": "x", "rounding": "CEIL", "roundingPlaces": 13}, "roundingPlaces"),
        ({"name": "x", "recurring": True}, "recurring"),
        ({"name": "x", "aggregationType": "UNIQUE"}, "eventField"),
        ({"name": "x", "unitCost": "NaN"}, "unitCost"),
        ({"name": "x", "unitCost": "0.0000000000001"}, "unitCost"),
        ({"name": "x", "filterConditions": "none"}, "filterConditions"),
        (
            {"name": "x", "filterConditions": [{"field": "f", "operator": "IN", "value": 1}]},
            "filterConditions[0].value",
        ),
        ({}, "name"),
    ],
)
def test_a_bad_metric_is_refused_by_field(client, body, field):
    answer = client.post("/api/v1/metrics", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert BillableUnit.objects.count() == 0


def test_a_product_of_another_tenant_is_not_found(client):
    body = {"name": "x", "productIds": [str(ProductFactory().id)]}
    answer = client.post("/api/v1/metrics", body)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["field"] == "productIds[0]"
    assert BillableUnit.objects.count() == 0


def test_templates_are_a_plain_list(client):
    answer = client.get("/api/v1/metrics/templates/API").json()
    assert [(row["name"], row["eventField"], row["aggregationType"]) for row in answer] == [
        ("API Calls", "request_count", "COUNT"),
        ("Data Transfer", "response_bytes", "SUM"),
        ("Active Users", "user_id", "COUNT_DISTINCT"),
        ("Compute Time", "latency_ms", "SUM"),
        ("Error Requests", "error_count", "COUNT"),
        ("Response Size", "response_size", "SUM"),
        ("Request Size", "request_size", "SUM"),
        ("Latency P95", "latency_ms", "PERCENTILE_95"),
    ]
    assert client.get("/api/v1/metrics/templates/TOASTER").status_code == 404


def test_metrics_are_made_from_templates_once(client):
    body = {"productType": "MCP_SERVER", "templateNames": ["MCP Tool Calls", "MCP Errors"]}
    first = client.post("/api/v1/metrics/bulk", body)
    assert first.status_code == 200
    assert [(row["name"], row["aggregationType"]) for row in first.json()] == [
        ("MCP Tool Calls", "COUNT"),
        ("MCP Errors", "COUNT"),
    ]
    again = client.post("/api/v1/metrics/bulk", body)
    assert [row["id"] for row in again.json()] == [row["id"] for row in first.json()]
    assert BillableUnit.objects.count() == 2


def test_every_template_can_be_made(client):
    for product_type in ("API", "AI_AGENT", "MCP_SERVER", "AGENTIC_API"):
        rows = client.get(f"/api/v1/metrics/templates/{product_type}").json()
        names = [row["name"] for row in rows]
        body = {"productType": product_type, "templateNames": names}
        made = client.post("/api/v1/metrics/bulk", body)
        assert [row["name"] for row in made.json()] == names
    latencies = BillableUnit.objects.filter(aggregation="PERCENTILE_95").order_by("name")
    assert [unit.name for unit in latencies] == ["Latency P95", "MCP P95 Latency"]


def test_how_a_quantity_is_measured_is_answered(client):
    body = {
        "name": "storage",
        "aggregationType": "LATEST",
        "divideBy": 1_000_000_000,
        "rounding": "CEIL",
        "roundingPlaces": 2,
        "recurring": True,
        "taxCode": "SaaS",
    }
    shown = client.post("/api/v1/metrics", body).json()
    assert {key: shown[key] for key in body} == {**body, "divideBy": "1000000000"}


def test_an_unknown_template_is_refused(client):
    body = {"productType": "API", "templateNames": ["Nope"]}
    answer = client.post("/api/v1/metrics/bulk", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "templateNames[0]"


def test_a_metric_is_edited_and_archived(client, tenant):
    unit = BillableUnitFactory(tenant=tenant)
    path = f"/api/v1/metrics/{unit.id}"
    assert client.patch(path, {"unitCost": "1.50"}).json()["unitCost"] == "1.5"
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: PER_UNIT}, published=True)
    subscription = SubscriptionFactory(tenant=tenant, versions=[version])
    blocked = client.delete(path)
    assert (blocked.status_code, blocked.json()["code"]) == (409, "METRIC_BLOCKED")
    subscription.delete()
    assert client.delete(path).status_code == 204
    assert [row["id"] for row in client.get("/api/v1/metrics?archived=true").json()["content"]] == [
        str(unit.id)
    ]
