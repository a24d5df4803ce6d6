"""The first requests of public pages, word for word."""

import json

import pytest

from aforo.money import plain
from tests.metering.clients.wire import (
    COUNT,
    SUM,
    assert_repeats_change_nothing,
    counted,
    post,
    told,
)
from tests.metering.events import codes, rows

QUICK_START = b'{"event":"api.call","endpoint":"/v1/search","customer_id":"cust_abc"}'
METER = {
    "tenantId": "tenant_uuid_123",
    "metricKey": "api_calls",
    "quantity": 1,
    "properties": {"endpoint": "/v2/search", "model": "gpt-4o"},
}
TOOL_INVOCATION = {
    "event_type": "tool_invocation",
    "product_type": "MCP_SERVER",
    "metric_id": "tool_invocations",
    "quantity": 1,
    "properties": {
        "tool_name": "search",
        "agent_id": "agent-7",
        "session_id": "s-1",
        "execution_status": "SUCCESS",
        "execution_duration_ms": 41,
        "cost_tier": "standard",
    },
}


def test_the_quick_start_is_accepted_and_counted(seller, sell):
    sell("cust_abc", **{"api.call": COUNT})
    seller.tenant.slug = "acme_corp"
    seller.tenant.save()
    answer = seller.post(QUICK_START, path="/v1/events", **{"X-Tenant-Id": "acme_corp"})
    assert told(answer) == (1, 0, 0)
    seller.drain()
    assert counted() == {"api.call": "1"}
    (row,) = rows()
    assert json.loads(row.metadata) == {"endpoint": "/v1/search"}
    made = answer.json()["idempotencyKeys"]["0"]
    assert row.idempotency_key == made
    # Without a key it is a new event each time; with the one that was told, a repeat.
    again = json.dumps(json.loads(QUICK_START) | {"idempotencyKey": made})
    assert_repeats_change_nothing(seller, lambda: seller.post(again, path="/v1/events"))


@pytest.mark.parametrize(
    ("event", "quantity"),
    [
        ({"event": "tokens", "customer_id": "cust_1"}, "1"),
        ({"event": "tokens", "customer_id": "cust_1", "quantity": None}, "1"),
        ({"event": "tokens", "customer_id": "cust_1", "quantity": 2.5}, "2.5"),
        ({"event": "tokens", "customer_id": "cust_1", "value": 7}, "7"),
        ({"metricName": "tokens", "customerId": "cust_1"}, "1"),
        ({"metricName": "tokens", "customerId": "cust_1", "event": "another thing"}, "1"),
    ],
)
def test_events_take_both_spellings(seller, event, quantity):
    for shape in (event, {"events": [event]}, [event]):
        assert told(post(seller, shape, path="/v1/events")) == (1, 0, 0)
    seller.drain()
    assert {plain(row.quantity) for row in rows()} == {quantity}


@pytest.mark.parametrize("path", ["/v1/ingest", "/v1/meter", "/api/v1/ingest/compound"])
def test_other_doors_want_a_quantity_and_know_no_event(seller, path):
    answer = post(seller, {"customerId": "cust_1", "metricName": "tokens"}, path=path)
    assert answer.status_code == 422
    answer = post(seller, {"customerId": "cust_1", "event": "tokens", "quantity": 1}, path=path)
    assert answer.status_code == 422


def test_a_metered_call_is_counted_for_the_tenant_it_names(seller, sell):
    owner = sell("tenant_uuid_123", api_calls=COUNT)
    assert told(post(seller, METER, path="/v1/meter")) == (1, 0, 0)
    seller.drain()
    assert counted() == {"api_calls": "1"}
    (row,) = rows()
    assert row.customer_id == owner.id
    assert json.loads(row.metadata) == METER["properties"]
    body = METER | {"idempotencyKey": "m-1"}
    post(seller, body, path="/v1/meter")
    seller.drain()
    assert_repeats_change_nothing(seller, lambda: post(seller, body, path="/v1/meter"))


def test_a_tenant_in_the_body_names_a_customer_at_that_door_only(seller, sell):
    sell("tenant_uuid_123", api_calls=COUNT)
    assert post(seller, METER, path="/v1/ingest").status_code == 422
    sent = METER | {"customerId": "tenant_uuid_123", "tenantId": "cust_1"}
    assert told(post(seller, sent, path="/v1/meter")) == (1, 0, 0)
    seller.drain()
    assert json.loads(rows()[0].metadata) == METER["properties"] | {"tenantId": "cust_1"}


def test_the_snake_case_of_older_pages_is_understood(seller, sell, alias):
    owner = sell("acme", tool_invocations=SUM)
    alias("agent-7", customer="acme")
    headers = {"Idempotency-Key": "call-1"}
    assert told(post(seller, TOOL_INVOCATION, path="/v1/ingest", **headers)) == (1, 0, 0)
    seller.drain()
    assert codes() == []
    (row,) = rows()
    assert row.customer_id == owner.id
    assert (row.product_type, row.tool_name, row.agent_id, row.session_id) == (
        "MCP_SERVER",
        "search",
        "agent-7",
        "s-1",
    )
    kept = json.loads(row.metadata)
    assert kept == TOOL_INVOCATION["properties"] | {"event_type": "tool_invocation"}
    assert_repeats_change_nothing(
        seller, lambda: post(seller, TOOL_INVOCATION, path="/v1/ingest", **headers)
    )


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.mark.parametrize(
    ("headers", "fields", "found"),
    [
        (PARENT, {}, TRACE),
        (PARENT | {"x-trace-id": "x-1"}, {}, TRACE),
        ({"x-trace-id": "x-1"}, {}, "x-1"),
        ({"traceparent": "00-short-01", "x-trace-id": "x-1"}, {}, "x-1"),
        (PARENT, {"traceId": "own"}, "own"),
        (PARENT, {"metadata": {"traceId": "never"}}, TRACE),
        ({}, {"metadata": {"traceId": "never"}}, None),
        ({"x-trace-id": "x" * 401}, {}, None),
    ],
)
def test_a_single_event_is_of_the_trace_of_its_request(seller, headers, fields, found):
    event = {"customerId": "cust_1", "metricName": "calls", "quantity": 1} | fields
    assert told(post(seller, event, path="/v1/ingest", **headers)) == (1, 0, 0)
    seller.drain()
    assert [row.trace_id for row in rows()] == [found]


def test_the_trace_of_a_flush_is_not_that_of_its_events(seller):
    event = {"customerId": "cust_1", "metricName": "calls", "quantity": 1}
    assert told(post(seller, [event, event], **PARENT)) == (2, 0, 0)
    seller.drain()
    assert {row.trace_id for row in rows()} == {None}


def test_a_repeat_within_another_trace_is_still_a_repeat(seller):
    event = {"customerId": "cust_1", "metricName": "calls", "quantity": 1, "idempotencyKey": "k"}
    post(seller, event, path="/v1/ingest", **PARENT)
    seller.drain()
    assert_repeats_change_nothing(
        seller, lambda: post(seller, event, path="/v1/ingest", **{"x-trace-id": "other"})
    )
