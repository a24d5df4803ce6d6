"""The load generator: single events over many look-alike paths, and traffic to be refused."""

import json

import pytest

from aforo.tenancy.models import ApiKey
from tests.factories import NOW
from tests.metering.clients.wire import SUM, assert_repeats_change_nothing, counted, post, told
from tests.metering.events import codes, inbox, outcomes, rows

PATHS = {
    "rest_direct": {},
    "sdk_node": {"X-Sdk-Lang": "node"},
    "sdk_python": {"X-Sdk-Lang": "python"},
    "sdk_java": {"X-Sdk-Lang": "java"},
    "sdk_go": {"X-Sdk-Lang": "go"},
    "gateway_kong": {"X-Gateway-Source": "kong", "X-Kong-Request-Id": "k-1"},
    "gateway_apigee": {"X-Gateway-Source": "apigee", "X-Apigee-Message-Id": "a-1"},
    "gateway_aws": {"X-Gateway-Source": "aws", "X-Amzn-Trace-Id": "Root=1-5759e988"},
    "gateway_azure": {"X-Gateway-Source": "azure", "X-Azureapim-Request-Id": "z-1"},
    "gateway_mulesoft": {"X-Gateway-Source": "mulesoft", "X-Correlation-Id": "m-1"},
    "gateway_apisix": {"X-Gateway-Source": "apisix", "X-Forwarded-By": "apisix"},
    "gateway_tyk": {"X-Gateway-Source": "tyk", "X-Forwarded-By": "tyk"},
    "gateway_gravitee": {"X-Gateway-Source": "gravitee", "X-Forwarded-By": "gravitee"},
    "gateway_envoy": {"X-Gateway-Source": "envoy", "X-Forwarded-By": "envoy"},
}
METRIC = "Agentic Input Tokens"


def event(number=1, **fields):
    """The other descriptors of the product ride in metadata and are billed by nobody."""
    whole = {
        "customerId": "cust_load",
        "metricName": METRIC,
        "quantity": 1_842,
        "occurredAt": "2026-03-15T11:59:58Z",
        "idempotencyKey": f"{number:032x}",
        "productType": "AGENTIC_API",
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "sessionId": "s-1",
        "metadata": {
            "request_count": 1,
            "latency_ms": 231,
            "input_tokens": 1_842,
            "output_tokens": 77,
            "user_id": "u-9",
            "_pad": "x" * 2_000,
        },
    }
    return whole | fields


@pytest.fixture(autouse=True)
def customer(sell):
    return sell("cust_load", **{METRIC: SUM, "Agentic Output Tokens": SUM})


def send(seller, body, **headers):
    known = {
        "X-Tenant-Id": str(seller.tenant.id),
        "X-Customer-Id": "somebody else's idea",
        "X-Loadgen-Event-Id": "e-1",
    }
    return post(seller, body, path="/v1/ingest", **(known | headers))


@pytest.mark.parametrize("path", PATHS)
def test_each_path_counts_one_metric_of_its_event(seller, path):
    headers = PATHS[path]
    assert told(send(seller, event(), **headers)) == (1, 0, 0)
    seller.drain()
    assert counted() == {METRIC: "1842"}
    (row,) = rows()
    assert (row.session_id, row.trace_id) == ("s-1", event()["traceId"])
    assert row.product_type == "AGENTIC_API"
    assert json.loads(row.metadata) == event()["metadata"]
    assert_repeats_change_nothing(seller, lambda: send(seller, event(), **headers))


def test_two_paths_that_send_one_key_count_once(seller):
    for headers in PATHS.values():
        told(send(seller, event(), **headers))
    seller.drain()
    assert outcomes() == {"counted": 1, "duplicates": len(PATHS) - 1}


def test_a_late_event_is_taken(seller):
    assert told(send(seller, event(occurredAt="2026-03-15T09:59:58Z"))) == (1, 0, 0)
    seller.drain()
    assert counted() == {METRIC: "1842"}


def refused(seller, body, code, status=422, **headers):
    answer = send(seller, body, **({"X-Loadgen-Negative-Path": "1"} | headers))
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    seller.drain()
    assert counted() == {}


def test_a_future_event_is_refused(seller):
    refused(seller, event(occurredAt="2026-03-15T12:10:00Z"), "TIMESTAMP_IN_FUTURE")
    assert codes() == ["TIMESTAMP_IN_FUTURE"]


def test_an_unknown_metric_is_refused(seller):
    refused(seller, event(metricName="No Such Metric"), "UNKNOWN_METRIC")
    assert codes() == ["UNKNOWN_METRIC"]


def test_broken_json_is_refused_and_leaves_nothing(seller):
    answer = seller.post(json.dumps(event())[:-20], path="/v1/ingest")
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_JSON")
    assert inbox() == []


def test_a_fabricated_key_is_refused(seller):
    seller.token = "sk_live_fab_" + "f" * 36
    refused(seller, event(), "UNAUTHORIZED", status=401)
    assert inbox() == []


def test_a_stale_key_is_refused(seller):
    assert told(send(seller, event())) == (1, 0, 0)
    seller.drain()
    ApiKey.objects.update(revoked_at=NOW)
    answer = send(seller, event(2))
    assert answer.status_code == 401
    assert outcomes() == {"counted": 1}


def test_an_oversize_body_is_refused(seller):
    big = event(metadata={"_pad": "x" * (10 * 1024 * 1024)})
    refused(seller, big, "TOO_LARGE", status=413)
    assert inbox() == []


def test_refused_traffic_sent_again_raises_counts_of_letters_only(seller):
    future = event(occurredAt="2026-03-15T12:10:00Z")
    for _ in range(4):
        assert send(seller, future).status_code == 422
        seller.drain()
    assert codes() == ["TIMESTAMP_IN_FUTURE"]
    assert counted() == {}
