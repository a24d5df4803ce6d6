"""Sessions as the drain derives them: one statement per drain, whatever comes in it."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from psycopg import Cursor

from metering.ingest.events import HEARTBEAT, Event
from metering.ingest.tokens import tokens_of
from metering.models import Session
from tests.factories import SessionFactory
from tests.metering.conftest import NOW
from tests.metering.events import event


def session(seller, name="s"):
    return Session.objects.for_tenant(seller.tenant).get(session_id=name)


def call(number, **fields):
    return event(f"k{number}", sessionId="s", **fields)


def beat(number, boundary="HEARTBEAT", **fields):
    return {
        "customerId": "system",
        "metricName": HEARTBEAT,
        "quantity": 0,
        "idempotencyKey": f"hb:{number}",
        "metadata": {"sessionId": "s", "sessionBoundary": boundary, "productType": "AI_AGENT"},
    } | fields


def test_events_of_a_session_are_summed_up(seller):
    seller.count(
        call(1, agentId="a7", productType="MCP_SERVER", occurredAt="2026-03-15T10:58:00Z"),
        call(2, metricName="tokens", quantity=1500),
        event("other"),
        beat(1),
    )
    found = session(seller)
    assert (found.customer_name, found.agent_id, found.product_type) == (
        "cust_1",
        "a7",
        "MCP_SERVER",
    )
    assert found.started_at == NOW - timedelta(minutes=62)
    assert found.last_seen_at == NOW
    assert (found.calls, found.heartbeats, found.tokens) == (2, 1, 1500)
    assert found.revenue == Decimal("0.02") + Decimal(1000) * Decimal("0.01") + Decimal("2.5")
    assert found.cost == Decimal("0.001")
    assert (found.closed_at, found.close_reason) == (None, "")
    assert Session.objects.count() == 1  # any tenant: events without a session make none


def test_later_drains_add_to_it_and_repeats_do_not(seller):
    seller.count(call(1, agentId=""))
    seller.count(call(1, agentId=""), call(2, agentId="late", occurredAt="2026-03-15T10:00:00Z"))
    seller.count(beat(1))

    found = session(seller)
    assert (found.calls, found.heartbeats, found.agent_id) == (2, 1, "late")
    assert found.started_at == NOW - timedelta(hours=2)


def test_an_event_that_is_refused_is_no_call(seller):
    seller.count(call(1, customerId="nobody"), call(2))
    assert session(seller).calls == 1


def test_an_event_of_days_ago_says_nothing_of_now(seller):
    seller.count(call(1, occurredAt="2026-03-10T00:00:00Z"))
    assert session(seller).last_seen_at == NOW - timedelta(days=5, hours=12)


def test_a_heartbeat_alone_opens_a_session_of_no_customer(seller):
    seller.count(beat(1, "SESSION_START"))
    found = session(seller)
    assert (found.customer_name, found.product_type, found.calls) == ("", "AI_AGENT", 0)
    assert found.closed_at is None


def test_the_end_closes_it_once(seller):
    seller.count(call(1))
    seller.count(beat(1, "SESSION_END"))
    seller.count(call(2))

    found = session(seller)
    assert (found.closed_at, found.close_reason, found.calls) == (NOW, "ENDED", 2)


def test_mcp_proxies_put_the_boundary_beside_the_event(seller):
    mcp = beat(1, customerId=str(seller.tenant.pk), sessionId="s", sessionBoundary="SESSION_END")
    mcp["metadata"] = {"productId": "p"}
    seller.count(mcp)
    assert session(seller).close_reason == "ENDED"


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        ({"close_reason": "TIMEOUT"}, ""),
        ({"close_reason": "TIMEOUT", "summed_up_at": NOW}, "TIMEOUT"),
        ({"close_reason": "KILLED", "killed_at": NOW}, "KILLED"),
        ({"close_reason": "ENDED"}, "ENDED"),
    ],
)
def test_only_a_session_closed_for_its_silence_lives_again(seller, closed, reason):
    before = NOW - timedelta(hours=3)
    SessionFactory(
        tenant=seller.tenant, session_id="s", last_seen_at=before, closed_at=before, **closed
    )
    seller.count(call(1))

    found = session(seller)
    assert (found.close_reason, found.calls) == (reason, 1)
    assert (found.closed_at is None) == (reason == "")


def test_a_killed_sessions_events_are_counted_and_the_answer_names_it(seller):
    SessionFactory(tenant=seller.tenant, session_id="s", killed_at=NOW)
    answer = seller.count(call(1), event("other"), beat(1))
    assert answer.json()["killedSessionIds"] == ["s"]
    assert session(seller).calls == 1


def test_sessions_take_one_statement_however_many(seller, monkeypatch):
    sent = []
    execute = Cursor.execute

    def recording(self, query, *args, **more):
        sent.append(str(query))
        return execute(self, query, *args, **more)

    monkeypatch.setattr(Cursor, "execute", recording)

    def statements(*events):
        seller.send(*events)
        sent.clear()
        seller.drain()
        return sum("sessions" in query for query in sent)

    assert statements(event("alone")) == 0
    assert statements(call(1)) == 1
    assert statements(*(event(f"m{n}", sessionId=f"s{n % 300}") for n in range(3000))) == 1
    assert Session.objects.for_tenant(seller.tenant).count() == 301


@pytest.mark.parametrize(
    ("metric", "metadata", "expected"),
    [
        ("calls", {"total_tokens": 30, "input_tokens": 10}, 30),
        ("calls", {"input_tokens": 10, "output_tokens": 5}, 15),
        ("calls", {"inputTokens": 10, "outputTokens": 5}, 15),
        ("calls", {"totalTokens": 7.0}, 7),
        ("tokens_total", {"model": "large"}, 3),
        ("Tokens Consumed", {"total_tokens": "many"}, 3),
        ("calls", {"total_tokens": -1}, 0),
        ("calls", {"total_tokens": 10**16}, 0),
        ("calls", {"total_tokens": True}, 0),
        ("calls", {"total_tokens": 1.5}, 0),
        ("calls", None, 0),
        (HEARTBEAT, {"total_tokens": None}, 0),
    ],
)
def test_tokens_are_told_by_the_metadata_or_by_the_metrics_name(metric, metadata, expected):
    raw = msgspec.Raw(msgspec.json.encode(metadata)) if metadata else msgspec.Raw()
    spoken = Event("c", metric, Decimal(3), metadata=raw)
    assert tokens_of(spoken) == expected
