"""Sessions beside the drain: closed for silence, summed up once, killed."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from django.utils import timezone

from aforo.errors import Refused
from aforo.tenancy.models import AuditEntry, Tenant
from aforo.tenancy.services.actors import Actor
from metering.ingest.events import SESSION_SUMMARY
from metering.models import DeadLetter, InboxBatch, Session, UsageEvent
from metering.selectors.sessions import in_state, sessions
from metering.services.sessions import close_silent, kill_session, sum_up, sum_up_all
from tests.factories import BillableUnitFactory, SandboxFactory, SessionFactory
from tests.metering.conftest import NOW, catalog_changed
from tests.metering.events import event, stored_events

HOUR = timedelta(hours=1)


@pytest.fixture
def tenant(db):
    return SandboxFactory(clock_frozen_at=NOW)


def again(session):
    return Session.objects.get(pk=session.pk)  # any tenant: a test's own


def closed(tenant, **fields):
    """A session with usage that ended two minutes ago."""
    ended = NOW - timedelta(minutes=2)
    more = {"customer_name": "cust_1", "closed_at": ended, "last_seen_at": ended}
    return SessionFactory(tenant=tenant, **more | {"close_reason": "ENDED"} | fields)


def test_an_hour_of_silence_closes_a_session_on_its_tenants_clock(tenant):
    silent = SessionFactory(tenant=tenant, last_seen_at=NOW - HOUR)
    heard = SessionFactory(tenant=tenant, last_seen_at=NOW - HOUR + timedelta(seconds=1))
    live = SessionFactory(last_seen_at=timezone.now())

    assert close_silent() == 1
    assert close_silent() == 0

    assert (again(silent).closed_at, again(silent).close_reason) == (NOW, "TIMEOUT")
    assert again(heard).closed_at is None
    assert again(live).closed_at is None


def test_the_times_say_the_state(tenant):
    made = {
        "CREATED": SessionFactory(tenant=tenant, last_seen_at=NOW - timedelta(seconds=59)),
        "ACTIVE": SessionFactory(tenant=tenant, last_seen_at=NOW, calls=1),
        "IDLE": SessionFactory(tenant=tenant, last_seen_at=NOW - timedelta(seconds=60), calls=1),
        "CLOSED": SessionFactory(tenant=tenant, closed_at=NOW, close_reason="ENDED"),
    }
    for state, session in made.items():
        assert session.state_at(NOW) == state
        assert in_state(sessions(tenant=tenant), state, NOW).get() == session


def test_a_closed_session_is_summed_up_once(seller):
    Tenant.objects.filter(pk=seller.tenant.pk).update(session_summaries=True)
    found = closed(
        seller.tenant,
        session_id="s",
        agent_id="a7",
        started_at=NOW - timedelta(minutes=12),
        calls=3,
        heartbeats=2,
        tokens=1500,
        cost=Decimal("0.30"),
        revenue=Decimal("1.25"),
    )

    assert sum_up_all(now=timezone.now()) == 1
    assert sum_up_all(now=timezone.now()) == 0

    (row,) = InboxBatch.objects.all()
    assert (row.source, row.door, row.event_count) == ("SESSION", "sessions", 1)
    assert stored_events(row) == [
        {
            "customerId": "cust_1",
            "metricName": SESSION_SUMMARY,
            "quantity": 1,
            "occurredAt": "2026-03-15T11:58:00Z",
            "idempotencyKey": f"session:{found.pk}",
            "sessionId": "s",
            "agentId": "a7",
            "metadata": {
                "calls": 3,
                "heartbeats": 2,
                "tokens": "1500",
                "durationSeconds": 600,
                "cost": "0.3",
                "revenue": "1.25",
                "startedAt": "2026-03-15T11:48:00Z",
                "endedAt": "2026-03-15T11:58:00Z",
                "reason": "ENDED",
            },
        }
    ]
    assert again(found).summed_up_at == NOW


def test_what_has_no_usage_just_ended_or_ended_long_ago_is_not_summed_up(tenant):
    closed(tenant, customer_name="")
    closed(tenant, closed_at=NOW, last_seen_at=NOW)
    closed(tenant, closed_at=NOW - timedelta(days=1), last_seen_at=NOW - timedelta(days=1))
    SessionFactory(tenant=tenant, customer_name="cust_1")

    assert sum_up(tenant_id=tenant.pk, now=NOW) == 0
    assert not InboxBatch.objects.exists()


def test_only_tenants_that_ask_get_sums(tenant):
    closed(tenant)
    assert sum_up_all(now=timezone.now()) == 0


def test_the_sum_is_unbilled_and_adds_nothing_to_its_session(seller):
    found = closed(seller.tenant, calls=3)
    sum_up(tenant_id=seller.tenant.pk, now=NOW)
    seller.drain()

    (row,) = UsageEvent.objects.all()
    assert (row.metric, row.running_total_id, row.session_id) == (
        SESSION_SUMMARY,
        None,
        found.session_id,
    )
    assert again(found).calls == 3
    assert not DeadLetter.objects.exists()  # any tenant: there is none at all


def test_a_unit_may_count_the_sums(seller):
    unit = BillableUnitFactory(tenant=seller.tenant, name=SESSION_SUMMARY, aggregation="COUNT")
    catalog_changed(seller.tenant)
    closed(seller.tenant)
    sum_up(tenant_id=seller.tenant.pk, now=NOW)
    seller.drain()

    (row,) = UsageEvent.objects.all()
    assert row.unit_id == unit.pk


def kill(tenant, name="s", **fields):
    asked = {"reason": "runaway", "actor": Actor.system("guard"), "now": NOW} | fields
    return kill_session(tenant=tenant, session_id=name, **asked)


def test_a_kill_closes_the_session_and_is_on_the_record(tenant, django_capture_on_commit_callbacks):
    open_session = SessionFactory(tenant=tenant, session_id="s")
    with django_capture_on_commit_callbacks(execute=True):
        assert kill(tenant).pk == open_session.pk

    found = again(open_session)
    assert (found.killed_at, found.killed_by, found.kill_reason) == (NOW, "guard", "runaway")
    assert (found.closed_at, found.close_reason) == (NOW, "KILLED")
    entry = AuditEntry.objects.for_tenant(tenant).get(action="SESSION_KILLED")
    assert (entry.reason, entry.target_name) == ("runaway", "s")


def test_a_second_kill_changes_nothing(tenant):
    kill(tenant)
    kill(tenant, reason="again", now=NOW + HOUR)

    found = Session.objects.for_tenant(tenant).get()
    assert (found.killed_at, found.kill_reason) == (NOW, "runaway")
    assert AuditEntry.objects.for_tenant(tenant).filter(action="SESSION_KILLED").count() == 1


def test_a_session_may_be_killed_before_anything_of_it_came(seller):
    kill(seller.tenant, "never-seen")
    answer = seller.count(event(1, sessionId="never-seen"))

    assert answer.json()["killedSessionIds"] == ["never-seen"]
    found = Session.objects.for_tenant(seller.tenant).get()
    assert (found.calls, found.customer_name, found.close_reason) == (1, "cust_1", "KILLED")


@pytest.mark.parametrize("name", ["", "x" * 401, "a\x00b"])
def test_what_can_be_no_sessions_name_is_refused(tenant, name):
    with pytest.raises(Refused):
        kill(tenant, name)


def test_the_sum_of_a_session_is_an_event_that_the_door_would_take(seller):
    closed(seller.tenant)
    sum_up(tenant_id=seller.tenant.pk, now=NOW)
    (row,) = InboxBatch.objects.all()
    unit = BillableUnitFactory(tenant=seller.tenant, name=SESSION_SUMMARY, aggregation="COUNT")
    assert unit.name == SESSION_SUMMARY
    answer = seller.post(msgspec.json.encode({"events": stored_events(row)}))
    assert answer.status_code == 202
