"""Heartbeats of SDKs and proxies: liveness of a session, of whatever customer, never usage."""

import pytest

from tests.metering.clients.wire import assert_repeats_change_nothing, counted, post, told
from tests.metering.events import codes, outcomes, rows

AT = "2026-03-15T11:31:07.068Z"
MILLISECONDS = 1773574267068
SESSION = "s-1"


def metadata(boundary, product="AI_AGENT", **more):
    return {
        "sessionId": SESSION,
        "sessionBoundary": boundary,
        "productType": product,
        "heartbeatType": "SESSION_END" if boundary == "SESSION_END" else "PERIODIC",
        "uptimeMs": 30_004,
        "sdkLanguage": "node",
    } | more


def base(boundary, key, **more):
    """Of the node and python base SDKs: nothing but the six fields."""
    return {
        "customerId": "system",
        "metricName": "system.session.heartbeat",
        "quantity": 0,
        "idempotencyKey": key,
        "occurredAt": AT,
        "metadata": metadata(boundary, **more),
    }


def mcp(boundary, tenant, **more):
    """Of the MCP SDKs, which put the tenant for the customer and nothing for the agent."""
    return base(boundary, f"hb:{SESSION}:{MILLISECONDS}:{boundary}", product="MCP_SERVER") | {
        "customerId": str(tenant.id),
        "productType": "MCP_SERVER",
        "agentId": "",
        "executionStatus": "SUCCESS",
        "sessionBoundary": boundary,
        **more,
    }


def of_node(tenant):
    return [
        base("HEARTBEAT", f"hb:{SESSION}:{MILLISECONDS}"),
        base("SESSION_END", f"hb:end:{SESSION}:{MILLISECONDS}"),
    ]


def of_python(tenant):
    return [base("HEARTBEAT", f"hb:{SESSION}:{MILLISECONDS}", processMemoryMb=81.4)]


def of_mcp_sdk(tenant):
    return [mcp("HEARTBEAT", tenant), mcp("SESSION_END", tenant, sessionId=None)]


def of_mcp_proxy(tenant):
    boundaries = ("SESSION_START", "HEARTBEAT", "SESSION_END")
    return [
        mcp(boundary, tenant, idempotencyKey=f"hb:proxy:{SESSION}:{MILLISECONDS + at}")
        for at, boundary in enumerate(boundaries)
    ]


@pytest.mark.parametrize("path", ["/v1/ingest/batch", "/v1/ingest/events", "/v1/ingest"])
@pytest.mark.parametrize("made", [of_node, of_python, of_mcp_sdk, of_mcp_proxy])
def test_heartbeats_are_recorded_and_never_billed(seller, made, path):
    beats = made(seller.tenant)

    def send():
        return post(seller, {"events": beats}, path=path, **{"X-Tenant-Id": seller.tenant.slug})

    assert told(send()) == (len(beats), 0, 0)
    seller.drain()
    assert codes() == []
    assert counted() == {}
    assert outcomes() == {"unbilled": len(beats)}
    assert {row.session_id for row in rows()} == {SESSION}
    assert {row.running_total_id for row in rows()} == {None}
    assert_repeats_change_nothing(seller, send)


def test_heartbeats_among_usage_leave_the_usage_as_it_is(seller):
    usage = {
        "customerId": "cust_1",
        "metricName": "calls",
        "quantity": 1,
        "idempotencyKey": "usage-1",
        "occurredAt": AT,
        "metadata": {"sessionId": "not lifted"},
    }
    assert told(post(seller, {"events": [usage, *of_node(seller.tenant)]})) == (3, 0, 0)
    seller.drain()
    assert counted() == {"calls": "1"}
    (row,) = (row for row in rows() if row.metric == "calls")
    assert row.session_id is None


@pytest.mark.parametrize("session", [None, "", 7, {"id": 1}, "s" * 500])
def test_a_session_without_a_usable_name_is_none(seller, session):
    beat = base("HEARTBEAT", "hb:1") | {"metadata": {"sessionId": session}}
    assert told(post(seller, {"events": [beat]})) == (1, 0, 0)
    seller.drain()
    assert [row.session_id for row in rows()] == [None]


def test_a_heartbeat_may_name_its_session_at_the_top(seller):
    beat = base("HEARTBEAT", "hb:1") | {"sessionId": "top"}
    assert told(post(seller, {"events": [beat]})) == (1, 0, 0)
    seller.drain()
    assert [row.session_id for row in rows()] == ["top"]
