"""node-agent: no customer, no key of its own, and an API key in every event."""

import json

import pytest

from catalog.models import Customer
from tests.factories import ApiKeyFactory
from tests.metering.clients.wire import (
    COUNT,
    SUM,
    assert_repeats_change_nothing,
    counted,
    post,
    told,
)
from tests.metering.conftest import TOKEN
from tests.metering.events import codes, inbox, outcomes, rows, stored_events

PATH = "/v1/ingest"
AT = "2026-03-15T11:31:07.068Z"
UNITS = {
    "session_count": COUNT,
    "step_count": SUM,
    "tokens_total": SUM,
    "session_completed": COUNT,
}


def event(kind, metric, value=1, **properties):
    return {
        "tenantId": "acme",
        "productId": "prod-1",
        "apiKey": TOKEN,
        "eventType": kind,
        "metricKey": metric,
        "value": value,
        "agentId": "agent-7",
        "sessionId": "s-1",
        "properties": properties,
        "timestamp": AT,
    }


RUN = [
    event("agent_session_start", "session_count"),
    event("agent_step", "step_count", step=1),
    event("agent_step", "step_count", step=2),
    event("token_usage", "tokens_total", 3_200, model="large", input=2_400, output=800),
    event("agent_session_end", "session_completed"),
]


def send(seller, events):
    return post(seller, {"events": events}, path=PATH)


def everything():
    return {"session_count": "1", "step_count": "2", "tokens_total": "3200"} | {
        "session_completed": "1"
    }


def test_a_run_is_counted_for_the_customer_of_the_agent(seller, sell, alias):
    owner = sell("acme", **UNITS)
    alias("agent-7", customer="acme")
    answer = send(seller, RUN)
    assert told(answer) == (5, 0, 0)
    assert "idempotencyKeys" not in answer.json()  # they follow from the events
    seller.drain()
    assert codes() == []
    assert counted() == everything()
    assert {row.customer_id for row in rows()} == {owner.id}
    assert {(row.session_id, row.agent_id) for row in rows()} == {("s-1", "agent-7")}
    (tokens,) = (row for row in rows() if row.metric == "tokens_total")
    assert json.loads(tokens.metadata) == {
        "tenantId": "acme",
        "productId": "prod-1",
        "apiKey": "[removed]",
        "eventType": "token_usage",
        "model": "large",
        "input": 2_400,
        "output": 800,
    }


def test_a_run_is_counted_for_the_owner_of_the_key(seller, sell, alias):
    owner = sell("acme", **UNITS)
    alias("agent-7")  # of another customer: the key goes before the agent
    alias(TOKEN, customer="acme")
    assert told(send(seller, RUN)) == (5, 0, 0)
    seller.drain()
    assert counted() == everything()
    assert {row.customer_id for row in rows()} == {owner.id}


def test_another_key_of_the_tenant_has_another_owner(seller, sell, alias):
    sell("acme", **UNITS)
    alias(TOKEN, customer="acme")
    alias("agent-7")
    seller.token = ApiKeyFactory(tenant=seller.tenant, secret="sk_test_" + "o" * 40).secret
    send(seller, RUN[:1])
    seller.drain()
    (row,) = rows()
    assert row.customer_id == Customer.objects.get(external_id="cust_1").id


def test_what_is_sent_again_counts_once(seller, sell):
    sell("agent-7", **UNITS)
    send(seller, RUN)
    seller.drain()
    assert_repeats_change_nothing(
        seller, lambda: send(seller, RUN), lambda: send(seller, RUN[1:3]), times=2
    )


@pytest.mark.parametrize(
    "other",
    [
        {"sessionId": "s-2"},
        {"timestamp": "2026-03-15T11:31:07.069Z"},
        {"properties": {"step": 2}},
        {"agentId": "agent-8"},
        {"eventType": "agent_retry"},
        {"value": 2},
    ],
)
def test_what_differs_in_one_thing_counts_apart(seller, sell, alias, other):
    sell("agent-7", **UNITS)
    alias("agent-8", customer="agent-7")
    step = RUN[1]
    assert told(send(seller, [step, step | other])) == (2, 0, 0)
    seller.drain()
    assert outcomes() == {"counted": 2}


def test_nobody_known_makes_dead_letters_that_hold_no_key(seller, sell):
    sell("acme", **UNITS)
    assert told(send(seller, RUN)) == (5, 0, 0)
    assert TOKEN not in json.dumps(stored_events(inbox()[0]))
    seller.drain()
    assert codes() == ["UNKNOWN_CUSTOMER"] * 5


def test_an_event_without_customer_and_agent_says_what_it_lacks(seller, sell):
    sell("acme", **UNITS)
    stray = {name: value for name, value in RUN[0].items() if name != "agentId"}
    answer = send(seller, [stray])
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["code"] == "INVALID_EVENT"
    assert "customerId" in error["error"]
