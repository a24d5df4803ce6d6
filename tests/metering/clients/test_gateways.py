"""The gateway plugins: one event per request, and a customer under whatever name they know."""

import json

import pytest

from aforo.money import plain
from tests.metering.clients.wire import COUNT, assert_repeats_change_nothing, counted, post, told
from tests.metering.events import codes, inbox, outcomes, rows, stored_events

METRIC = "api_calls"
MS = 1773574267068
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NO_TRACE = {"traceparent": None, "tracestate": None, "xTraceId": None, "xRequestId": None}
KEY_VALUE = "sk_live_" + "g" * 40


def request(customer, key, *, at="2026-03-15T11:31:07.068Z", gateway="kong", **more):
    return {
        "customerId": customer,
        "metricName": METRIC,
        "quantity": 1,
        "occurredAt": at,
        "idempotencyKey": key,
        "endpointPath": "/v2/search",
        "httpMethod": "POST",
        "statusCode": 200,
        "responseTimeMs": 17,
        "trace": {},
        "metadata": {"gateway": gateway},
    } | more


KONG = request("consumer-custom-id", "req-8231", at=MS)
AWS = request(KEY_VALUE, "4f1c-aws", gateway="aws", trace=NO_TRACE)
APIGEE = request("Mobile App", "rrt-123-apigee", gateway="apigee", trace=NO_TRACE)
APIGEE_MAIL = request("dev@example.com", "rrt-124-apigee", gateway="apigee", trace=NO_TRACE)
APIM = request("sub-5c2", "corr-5", at="2026-03-15T11:31:07.0681234Z", gateway="azure-apim")
MULESOFT = request("jwt-subject", "corr-6", gateway="mulesoft", tenantId="acme")
MCP = {
    "productType": "MCP_SERVER",
    "toolName": "search",
    "agentId": "agent-7",
    "sessionId": "s-1",
    "executionStatus": "SUCCESS",
    "executionDurationMs": 41,
}
KONG_MCP = KONG | MCP | {"idempotencyKey": f"mcp:acme:req-1:search:{MS}"}
APIGEE_MCP = APIGEE | MCP | {"idempotencyKey": f"mcp:apigee:rrt-1:search:{MS}"}
GATEWAYS = {
    "kong": KONG,
    "kong mcp": KONG_MCP,
    "aws": AWS,
    "apigee": APIGEE,
    "apigee by mail": APIGEE_MAIL,
    "apigee mcp": APIGEE_MCP,
    "azure apim": APIM,
    "mulesoft": MULESOFT,
}


@pytest.fixture
def acme(sell, alias):
    """One customer under all the names that gateways have for it."""
    customer = sell("acme", **{METRIC: COUNT})
    for name in {event["customerId"] for event in GATEWAYS.values()}:
        alias(name, customer="acme")
    return customer


def send(seller, *events, path="/v1/ingest/batch"):
    return post(seller, {"events": events}, path=path, **{"X-Tenant-Id": seller.tenant.slug})


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("path", ["/v1/ingest", "/v1/ingest/batch", "/v1/ingest/events"])
def test_a_request_is_counted_for_its_customer(seller, acme, gateway, path):
    event = GATEWAYS[gateway]
    assert told(send(seller, event, path=path)) == (1, 0, 0)
    seller.drain()
    assert codes() == []
    assert counted() == {METRIC: "1"}
    (row,) = rows()
    assert row.customer_id == acme.id
    assert row.occurred_at.isoformat()[:23] == "2026-03-15T11:31:07.068"
    assert row.product_type == event.get("productType", "API")  # the unit's, where none is named
    kept = json.loads(row.metadata)
    assert kept["endpointPath"] == "/v2/search"
    assert (kept["statusCode"], kept["trace"]) == (200, event["trace"])
    assert_repeats_change_nothing(seller, lambda: send(seller, event, path=path))


def test_all_names_of_a_customer_share_its_totals(seller, acme):
    assert told(send(seller, *GATEWAYS.values())) == (len(GATEWAYS), 0, 0)
    seller.drain()
    assert counted() == {METRIC: str(len(GATEWAYS))}
    assert {row.customer_id for row in rows()} == {acme.id}


def test_a_customer_that_is_a_key_is_stored_nowhere(seller, acme):
    send(seller, AWS)
    assert KEY_VALUE not in json.dumps(stored_events(inbox()[0]))
    seller.drain()
    (row,) = rows()
    assert row.customer_id == acme.id
    assert KEY_VALUE not in str(vars(row))


def test_azure_meters_unknown_callers_too(seller, acme):
    assert told(send(seller, APIM | {"customerId": "unknown"})) == (1, 0, 0)
    seller.drain()
    assert codes() == ["UNKNOWN_CUSTOMER"]


def test_no_events_are_fine(seller):
    """MuleSoft sends this for a caller without identity, and counts a 4xx as success anyway."""
    assert told(send(seller)) == (0, 0, 0)
    assert inbox() == []


@pytest.mark.parametrize(
    ("trace", "found"),
    [
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "xTraceId": "x-1"}, TRACE),
        ({"traceparent": "nonsense", "xTraceId": "x-1"}, "x-1"),
        ({"traceparent": None, "xTraceId": "x-1"}, "x-1"),
        (NO_TRACE, None),
        ({}, None),
        ("text", None),
        ({"traceparent": ["list"], "xTraceId": 7}, None),
        ({"xTraceId": "x" * 500}, None),
    ],
)
def test_a_trace_is_that_of_the_request_which_was_counted(seller, acme, trace, found):
    assert told(send(seller, KONG | {"trace": trace})) == (1, 0, 0)
    seller.drain()
    assert [row.trace_id for row in rows()] == [found]


def test_a_client_that_chooses_its_request_id_chooses_its_key(seller, acme):
    """`X-Request-Id` is the client's: the same id with another request is a conflict."""
    send(seller, KONG)
    send(seller, KONG | {"metadata": {"gateway": "kong", "more": 1}})
    seller.drain()
    assert outcomes() == {"counted": 1, "dead": 1}
    assert codes() == ["IDEMPOTENCY_CONFLICT"]


def test_the_older_policy_of_azure_is_served(seller, acme):
    """`X-Aforo-Key` instead of a bearer token, `value` instead of a quantity."""
    body = json.dumps({"metricName": METRIC, "customerId": "sub-5c2", "value": 3})
    headers = {"X-Aforo-Key": seller.token, "Idempotency-Key": "corr-7"}

    def send():
        return seller.client.post(
            "/v1/ingest", data=body, content_type="application/json", headers=headers
        )

    assert told(send()) == (1, 0, 0)
    seller.drain()
    assert [(row.idempotency_key, plain(row.quantity)) for row in rows()] == [("corr-7", "3")]
    assert_repeats_change_nothing(seller, send)


@pytest.mark.parametrize("key", ["", "sk_test_wrong", "afo_" + "k" * 44])
def test_a_wrong_key_in_the_older_header_opens_nothing(seller, key):
    answer = seller.client.post(
        "/v1/ingest", data=b"[]", content_type="application/json", headers={"X-Aforo-Key": key}
    )
    assert answer.status_code == 401


def test_a_broker_sends_five_hundred_at_once(seller, sell):
    """EMQX: events as of the MQTT SDK, in batches of 500, three times on any failure."""
    sell("device-owner", **{"mqtt_broker.publish": COUNT})
    events = [
        {
            "customerId": "device-owner",
            "metricName": "mqtt_broker.publish",
            "quantity": 1,
            "occurredAt": "2026-03-15T11:31:07.068Z",
            "idempotencyKey": f"mqtt:acme:c-1:PUBLISH:a/b/#:{MS}:{number:08x}",
            "productType": "MQTT_BROKER",
            "mqttTopic": "a/b/#",
            "mqttQos": 2,
            "metadata": {"productId": "prod-1"},
        }
        for number in range(500)
    ]
    assert told(send(seller, *events, path="/v1/ingest/events")) == (500, 0, 0)
    seller.drain()
    assert counted() == {"mqtt_broker.publish": "500"}
    assert_repeats_change_nothing(
        seller, lambda: send(seller, *events, path="/v1/ingest/events"), times=2
    )
