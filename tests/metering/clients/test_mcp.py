"""The MCP SDKs and the MCP proxy: one event per tool call, and sessions that can be stopped."""

import hashlib

import pytest

from tests.factories import NOW, SessionFactory
from tests.metering.clients.wire import COUNT, assert_repeats_change_nothing, counted, post, told
from tests.metering.events import codes, outcomes, rows

METRIC = "mcp_server.tool_invocations"
MS = 1773574267068


def sdk_call(language, session="s-1", tool="search", at=MS):
    """Of the SDKs: the customer is the agent; python sends a session it does not know as null."""
    event = {
        "customerId": "agent-7",
        "metricName": METRIC,
        "quantity": 1,
        "occurredAt": "2026-03-15T11:31:07.068Z",
        "idempotencyKey": f"mcp:sdk:agent-7:{session or 'no-session'}:{tool}:{at}",
        "productType": "MCP_SERVER",
        "toolName": tool,
        "agentId": "agent-7",
        "executionStatus": "SUCCESS",
        "executionDurationMs": 41,
        "metadata": {"productId": "prod-1", "sdk": language, "sdkVersion": "1.0.0"},
    }
    if session or language == "python":
        event["sessionId"] = session
    return event


def proxied_call(number=1, session="s-1"):
    """Of the proxy: 32 hex digits for a key, and what it knows of the transport."""
    said = f"mcp:proxy:agent-7:{session}:search:{number}:{MS}"
    return sdk_call("node", session) | {
        "idempotencyKey": hashlib.sha256(said.encode()).hexdigest()[:32],
        "metadata": {
            "productId": "prod-1",
            "transport": "stdio",
            "proxy": True,
            "proxyVersion": "1.0.0",
            "responseBytes": 512,
        },
    }


def send(seller, *events):
    return post(seller, {"events": events}, **{"X-Tenant-Id": str(seller.tenant.id)})


@pytest.mark.parametrize(
    ("event", "session"),
    [
        (sdk_call("node"), "s-1"),
        (sdk_call("python"), "s-1"),
        (sdk_call("node", session=None), None),
        (sdk_call("python", session=None), None),
        (proxied_call(), "s-1"),
    ],
    ids=["node", "python", "node without session", "python without session", "proxy"],
)
def test_a_tool_call_is_counted_for_the_customer_of_the_agent(seller, sell, alias, event, session):
    owner = sell("acme", **{METRIC: COUNT})
    alias("agent-7", customer="acme")
    assert told(send(seller, event)) == (1, 0, 0)
    seller.drain()
    assert codes() == []
    assert counted() == {METRIC: "1"}
    (row,) = rows()
    assert (row.customer_id, row.agent_id, row.tool_name) == (owner.id, "agent-7", "search")
    assert (row.session_id, row.product_type) == (session, "MCP_SERVER")
    assert_repeats_change_nothing(seller, lambda: send(seller, event))


def test_calls_of_one_tool_in_one_millisecond_share_a_key(seller, sell):
    """The SDK's own doing: its keys have no random part."""
    sell("agent-7", **{METRIC: COUNT})
    assert told(send(seller, sdk_call("node"), sdk_call("node"))) == (1, 1, 0)
    seller.drain()
    assert outcomes() == {"counted": 1, "duplicates": 1}


def test_the_proxy_tells_its_calls_apart(seller, sell):
    sell("agent-7", **{METRIC: COUNT})
    first, second = ([proxied_call(number) for number in numbers] for numbers in ((1, 2), (2, 3)))
    assert told(send(seller, *first)) == (2, 0, 0)
    assert told(send(seller, *second)) == (2, 0, 0)
    seller.drain()
    assert counted() == {METRIC: "3"}
    assert_repeats_change_nothing(seller, lambda: send(seller, *first, *second[1:]))


def test_a_client_whose_session_was_killed_is_told_at_top_level(seller, sell):
    sell("agent-7", **{METRIC: COUNT})
    SessionFactory(tenant=seller.tenant, session_id="s-1", killed_at=NOW, closed_at=NOW)
    SessionFactory(tenant=seller.tenant, session_id="s-9", killed_at=NOW, closed_at=NOW)
    answer = send(seller, sdk_call("node"), sdk_call("node", session="s-2"))
    assert told(answer) == (2, 0, 0)
    assert answer.json()["killedSessionIds"] == ["s-1"]


def test_a_heartbeat_hears_of_the_kill_as_well(seller):
    SessionFactory(tenant=seller.tenant, session_id="s-1", killed_at=NOW, closed_at=NOW)
    beat = {
        "customerId": str(seller.tenant.id),
        "metricName": "system.session.heartbeat",
        "quantity": 0,
        "agentId": "",
        "sessionBoundary": "HEARTBEAT",
        "executionStatus": "SUCCESS",
        "idempotencyKey": f"hb:s-1:{MS}",
        "metadata": {"sessionId": "s-1", "sessionBoundary": "HEARTBEAT"},
    }
    assert send(seller, beat).json()["killedSessionIds"] == ["s-1"]
