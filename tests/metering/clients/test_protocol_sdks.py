"""The SDKs of GraphQL, gRPC, WebSocket and MQTT: the whole buffer at once, many own fields.

They send a buffer three times whatever is answered but 2xx, and then drop it.
"""

import json

import pytest

from tests.metering.clients.wire import (
    COUNT,
    SUM,
    assert_repeats_change_nothing,
    counted,
    post,
    told,
)
from tests.metering.events import codes, outcomes, rows

AT = "2026-03-15T11:31:07.068Z"
MS = 1773574267068
PATH = "/v1/ingest/events"

GRAPHQL = {
    "metricName": "graphql_api.operations",
    "productType": "GRAPHQL_API",
    "idempotencyKey": f"gql:acme:prod-1:GetUser:{MS}:a1b2c3d4",
    "gqlOperationType": "QUERY",
    "gqlOperationName": "GetUser",
    "gqlComplexity": 20,
    "gqlFieldCount": 5,
    "gqlHasErrors": False,
    "dataBytes": 412,
    "executionDurationMs": 12,
    "metadata": {"sdkVersion": "1.0.0", "productId": "prod-1", "schemaVersion": "7"},
}
GRPC = {
    "metricName": "grpc_api.rpc_calls",
    "productType": "GRPC_API",
    "idempotencyKey": f"grpc:acme:billing.Invoices:Get:{MS}:a1b2c3d4",
    "grpcService": "billing.Invoices",
    "grpcMethod": "Get",
    "grpcStatusCode": "NOT_FOUND",
    "grpcCallType": "SERVER_STREAM",
    "messageCount": 3,
    "dataBytes": 99,
    "executionDurationMs": 8,
    "metadata": {"sdkVersion": "1.0.0", "productId": "prod-1"},
}
FRAME = {
    "metricName": "websocket_api.message",
    "productType": "WEBSOCKET_API",
    "idempotencyKey": f"ws:acme:conn-1:PING:{MS}:a1b2c3d4",
    "wsConnectionId": "conn-1",
    "wsDirection": "CLIENT_TO_SERVER",
    "wsFrameType": "PING",
    "wsCloseReason": None,
    "messageCount": 1,
    "dataBytes": 0,
    "durationMs": 0,
    "metadata": {"sdkVersion": "1.0.0", "productId": "prod-1", "event": "CONNECTION_OPENED"},
}
CLOSED = FRAME | {
    "metricName": "websocket_api.connection_closed",
    "idempotencyKey": f"ws:acme:conn-1:CLOSE:{MS}:a1b2c3d5",
    "wsFrameType": "CLOSE",
    "wsCloseReason": "going away",
    "metadata": {"event": "CONNECTION_CLOSED", "sentCount": 4, "recvCount": 2, "closeCode": 1001},
}
TOPIC = "sensors/+/temperature/#/" + "deep/" * 60
MQTT = {
    "metricName": "mqtt_broker.publish",
    "productType": "MQTT_BROKER",
    "idempotencyKey": f"mqtt:acme:device-1:PUBLISH:{TOPIC}:{MS}:a1b2c3d4",
    "mqttTopic": TOPIC,
    "mqttQos": 1,
    "mqttRetained": False,
    "mqttEventType": "PUBLISH",
    "mqttClientId": "device-1",
    "dataBytes": 64,
    "metadata": {"sdkVersion": "1.0.0", "productId": "prod-1"},
}
KINDS = {"graphql": GRAPHQL, "grpc": GRPC, "ws": FRAME, "ws closed": CLOSED, "mqtt": MQTT}
GO_OR_JAVA = {
    "graphql": GRAPHQL | {"gqlComplexity": 23, "gqlFieldCount": 8},
    "grpc": {n: v for n, v in GRPC.items() if n != "dataBytes"} | {"grpcStatusCode": "NotFound"},
    "ws closed": CLOSED | {"metadata": {"event": "CONNECTION_CLOSED", "frames": 6, "bytes": 80}},
}


def event(fields, **more):
    return {"customerId": "cust_1", "quantity": 1, "occurredAt": AT} | fields | more


def send(seller, *events):
    body = {"events": [one | {"customerId": "cust_p"} for one in events]}
    return post(seller, body, path=PATH, **{"X-Tenant-Id": str(seller.tenant.id)})


@pytest.mark.parametrize("kind", [*KINDS, *(f"{name} of go or java" for name in GO_OR_JAVA)])
def test_each_protocol_is_counted_and_its_fields_are_kept(seller, sell, kind):
    sell("cust_p", **{fields["metricName"]: COUNT for fields in KINDS.values()})
    name, _, others = kind.partition(" of ")
    sent = event(GO_OR_JAVA[name] if others else KINDS[name])
    assert told(send(seller, sent)) == (1, 0, 0)
    seller.drain()
    assert codes() == []
    assert counted() == {sent["metricName"]: "1"}
    (row,) = rows()
    extra = {
        name: value
        for name, value in sent.items()
        if name.startswith(("gql", "grpc", "ws", "mqtt"))
        or name in {"messageCount", "dataBytes", "durationMs", "executionDurationMs"}
    }
    assert json.loads(row.metadata) == extra | sent["metadata"]
    assert row.product_type == sent["productType"]
    assert_repeats_change_nothing(seller, lambda: send(seller, sent))


def test_a_buffer_of_any_length_comes_in_one_request(seller, sell):
    sell("cust_p", **{MQTT["metricName"]: COUNT})
    buffer = [event(MQTT, idempotencyKey=f"mqtt:{number}") for number in range(2_000)]
    assert told(send(seller, *buffer)) == (2_000, 0, 0)
    seller.drain()
    assert told(send(seller, *buffer[1_000:], event(MQTT, idempotencyKey="new"))) == (1_001, 0, 0)
    seller.drain()
    assert counted() == {MQTT["metricName"]: "2001"}
    assert outcomes() == {"counted": 2_001, "duplicates": 1_000}


def test_no_answer_makes_a_client_send_what_is_bad_again(seller, sell):
    """It would send the good ones again, too, and drop them at last."""
    sell("cust_p", **{GRAPHQL["metricName"]: COUNT})
    bad = event(GRAPHQL, idempotencyKey="bad", quantity="many")
    answer = send(seller, event(GRAPHQL), bad)
    assert told(answer) == (1, 0, 1)
    seller.drain()
    assert_repeats_change_nothing(seller, lambda: send(seller, event(GRAPHQL), bad))


def test_conditions_look_at_the_fields_of_a_protocol(seller, sell):
    metric, conditions = GRAPHQL["metricName"], []
    for field, operator, value in (
        ("gqlOperationType", "EQUALS", "MUTATION"),
        ("gqlComplexity", "GREATER_THAN", "10"),
    ):
        conditions.append({"field": field, "operator": operator, "value": value})
    sell(
        "cust_p",
        mutations=COUNT | {"source_metric": metric, "filter_conditions": conditions},
        operations=SUM | {"source_metric": metric},
    )
    kinds = [("QUERY", 50), ("MUTATION", 5), ("MUTATION", 50)]
    events = [
        event(GRAPHQL, idempotencyKey=str(at), gqlOperationType=kind, gqlComplexity=complexity)
        for at, (kind, complexity) in enumerate(kinds)
    ]
    send(seller, *events)
    seller.drain()
    assert counted() == {"mutations": "1", "operations": "3"}
