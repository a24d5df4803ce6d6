"""Killed sessions: every door of every process hears of them within a second or so."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo import valkey
from metering.ingest import events, killed
from metering.ingest.heartbeats import Boundary, boundary_of, session_of, sessions_in
from metering.ingest.killed import KilledSessions
from metering.models import Session
from tests.factories import SandboxFactory, SessionFactory
from tests.metering.conftest import NOW


@pytest.fixture
def clock(monkeypatch):
    """The process's own clock, moved by hand."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("metering.ingest.killed.time.monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def tenant(db):
    valkey.client().delete("sessions:killed")
    return SandboxFactory(clock_frozen_at=NOW)


def kill(session):
    Session.objects.filter(pk=session.pk).update(killed_at=NOW)  # any tenant: a test's own
    killed.announce()


def test_only_killed_sessions_of_the_tenant_are_named(tenant, clock):
    kill(SessionFactory(tenant=tenant, session_id="b"))
    kill(SessionFactory(tenant=tenant, session_id="a"))
    kill(SessionFactory(session_id="theirs"))
    SessionFactory(tenant=tenant, session_id="alive")

    assert KilledSessions().among(tenant.pk, {"a", "b", "alive", "theirs", "x"}) == ["a", "b"]


def test_a_kill_is_heard_of_after_a_second(tenant, clock):
    doors = KilledSessions()
    session = SessionFactory(tenant=tenant, session_id="s")
    assert doors.among(tenant.pk, {"s"}) == []

    kill(session)

    clock.now += 0.9
    assert doors.among(tenant.pk, {"s"}) == []
    clock.now += 0.1
    assert doors.among(tenant.pk, {"s"}) == ["s"]


def test_nothing_is_asked_again_within_a_second_nor_for_requests_without_sessions(tenant, clock):
    doors = KilledSessions()
    doors.among(tenant.pk, {"s"})

    with CaptureQueriesContext(connection) as queries:
        clock.now += 0.5
        doors.among(tenant.pk, {"s"})
        clock.now += 10
        assert doors.among(tenant.pk, set()) == []
        doors.among(tenant.pk, {"s"})  # asks Redis, which says that nothing has changed

    assert len(queries) == 0


def test_a_kill_that_redis_lost_is_found_in_half_a_minute(tenant, clock):
    doors = KilledSessions()
    session = SessionFactory(tenant=tenant, session_id="s")
    doors.among(tenant.pk, {"s"})
    Session.objects.filter(pk=session.pk).update(killed_at=NOW)  # any tenant: a test's own

    clock.now += 30

    assert doors.among(tenant.pk, {"s"}) == ["s"]


def test_without_redis_the_rows_are_read_each_second(tenant, clock, redis_down):
    doors = KilledSessions()
    session = SessionFactory(tenant=tenant, session_id="s")
    assert doors.among(tenant.pk, {"s"}) == []

    kill(session)
    clock.now += 1

    assert doors.among(tenant.pk, {"s"}) == ["s"]


def test_without_the_database_what_was_last_known_is_told(tenant, clock, monkeypatch):
    doors = KilledSessions()
    kill(SessionFactory(tenant=tenant, session_id="s"))
    assert doors.among(tenant.pk, {"s"}) == ["s"]

    def away(_tenant_id):
        raise killed.DatabaseError("away")

    monkeypatch.setattr("metering.ingest.killed._read", away)
    clock.now += 60

    assert doors.among(tenant.pk, {"s"}) == ["s"]
    assert KilledSessions().among(tenant.pk, {"s"}) == []


def test_it_is_forgotten_a_day_after_it_was_last_seen(tenant, clock):
    day = timedelta(hours=24)
    SessionFactory(tenant=tenant, session_id="old", killed_at=NOW - day, last_seen_at=NOW - day)
    SessionFactory(tenant=tenant, session_id="seen", killed_at=NOW - day * 2, last_seen_at=NOW)

    assert KilledSessions().among(tenant.pk, {"old", "seen"}) == ["seen"]


def event(**fields):
    (one,) = events.decode_all(
        b"[" + events.msgspec.json.encode({"customerId": "c", "quantity": 1, **fields}) + b"]"
    )
    return one


def test_an_event_names_its_session_in_a_field_a_heartbeat_in_its_metadata_too():
    beat = events.HEARTBEAT
    assert session_of(event(metricName="calls", sessionId="s")) == "s"
    assert session_of(event(metricName="calls", sessionId="")) is None
    assert session_of(event(metricName="calls", metadata={"sessionId": "s"})) is None
    assert session_of(event(metricName=beat, metadata={"sessionId": "s"})) == "s"
    assert session_of(event(metricName=beat, sessionId="f", metadata={"sessionId": "s"})) == "f"
    assert session_of(event(metricName=beat, metadata={"sessionId": 7})) is None
    assert session_of(event(metricName=beat, metadata={"sessionId": "s" * 401})) is None
    assert session_of(event(metricName=beat)) is None


def test_refused_events_and_events_without_a_session_name_none():
    found = [
        event(metricName="calls", sessionId="a"),
        event(metricName=events.HEARTBEAT, metadata={"sessionId": "b"}),
        event(metricName="calls"),
        events.Refusal("INVALID_EVENT", "no event at all"),
    ]
    assert sessions_in(b'"sessionId"', found) == {"a", "b"}
    assert sessions_in(b"[]", found) == set()


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"sessionBoundary": "SESSION_START"}, Boundary.START),
        ({"sessionBoundary": "SESSION_END"}, Boundary.END),
        ({"sessionBoundary": "HEARTBEAT", "heartbeatType": "PERIODIC"}, Boundary.BEAT),
        ({"heartbeatType": "SESSION_END"}, Boundary.END),
        ({"sessionBoundary": ["SESSION_END"]}, Boundary.BEAT),
        ({}, Boundary.BEAT),
    ],
)
def test_a_heartbeat_says_what_it_marks(metadata, expected):
    assert boundary_of(event(metricName=events.HEARTBEAT, metadata=metadata)) == expected
