"""Sessions over HTTP."""

from datetime import timedelta

import pytest

from metering.models import Session
from tests.clients import operator_client
from tests.factories import SandboxFactory, SessionFactory
from tests.metering.conftest import NOW


@pytest.fixture
def tenant(db):
    return SandboxFactory(clock_frozen_at=NOW)


def names(answer):
    assert answer.status_code == 200, answer.content
    return [session["sessionId"] for session in answer.json()["content"]]


def test_sessions_are_listed_by_when_they_were_seen(tenant):
    SessionFactory(tenant=tenant, session_id="old", last_seen_at=NOW - timedelta(days=1))
    SessionFactory(tenant=tenant, session_id="new", customer_name="c", agent_id="a", calls=1)
    SessionFactory(tenant=tenant, session_id="killed", killed_at=NOW, closed_at=NOW)
    SessionFactory(session_id="theirs")
    client = operator_client(tenant)

    assert set(names(client.get("/api/v1/sessions"))) == {"new", "killed", "old"}
    assert names(client.get("/api/v1/sessions?state=IDLE")) == ["old"]
    assert names(client.get("/api/v1/sessions?state=ACTIVE")) == ["new"]
    assert names(client.get("/api/v1/sessions?state=CREATED")) == []
    assert names(client.get("/api/v1/sessions?state=CLOSED")) == ["killed"]
    assert names(client.get("/api/v1/sessions?customerId=c")) == ["new"]
    assert names(client.get("/api/v1/sessions?agentId=a")) == ["new"]
    assert names(client.get("/api/v1/sessions?sessionId=old")) == ["old"]
    assert names(client.get("/api/v1/sessions?killed=true")) == ["killed"]
    assert client.get("/api/v1/sessions?size=1").json()["totalElements"] == 3
    assert client.get("/api/v1/sessions?state=ODD").status_code == 422


def test_one_session_tells_its_state_and_exact_sums(tenant):
    session = SessionFactory(tenant=tenant, tokens=12, cost="0.00015", calls=2)
    shown = operator_client(tenant).get(f"/api/v1/sessions/{session.pk}").json()
    assert (shown["state"], shown["calls"], shown["closedAt"]) == ("ACTIVE", 2, None)
    assert (shown["tokens"], shown["cost"], shown["revenue"]) == ("12", "0.00015", "0")


def test_a_session_is_killed_by_its_row_or_by_the_clients_id(tenant):
    session = SessionFactory(tenant=tenant, session_id="s")
    client = operator_client(tenant, role="DEVELOPER")

    answer = client.post(f"/api/v1/sessions/{session.pk}/kill", {"reason": "loops"}, format="json")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["state"], answer.json()["killReason"]) == ("CLOSED", "loops")

    asked = {"sessionId": "never seen/1", "reason": "loops"}
    answer = client.post("/api/v1/sessions/kill", asked, format="json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["sessionId"] == "never seen/1"
    assert Session.objects.for_tenant(tenant).filter(killed_at=NOW).count() == 2


def test_who_may_only_read_kills_nothing_and_a_reason_is_needed(tenant):
    session = SessionFactory(tenant=tenant)
    path = f"/api/v1/sessions/{session.pk}/kill"
    asked = {"reason": "loops"}

    assert operator_client(tenant, role="MEMBER").post(path, asked).status_code == 403
    assert operator_client(tenant).post(path, {"reason": ""}, format="json").status_code == 422
    assert not Session.objects.for_tenant(tenant).filter(killed_at__isnull=False).exists()
