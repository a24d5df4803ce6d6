"""What a drain tells the live stream: only where somebody listens, and never all of a flood."""

import time

import msgspec
import pytest

from aforo import valkey
from metering.ingest import live
from metering.ingest.live import CHANNEL, LISTENED, MOST_OF_A_TYPE, Notice
from tests.metering.events import event


@pytest.fixture(autouse=True)
def fresh_audience(monkeypatch):
    valkey.client().delete(LISTENED)
    monkeypatch.setattr(live, "listened", live.Audience().listened)


@pytest.fixture
def told(seller, django_capture_on_commit_callbacks):
    """Listens to the seller, and gives the notices of what is sent."""
    valkey.client().zadd(LISTENED, {str(seller.tenant.pk): time.time() + 60})
    with valkey.client().pubsub() as subscription:
        subscription.subscribe(f"{CHANNEL}{seller.tenant.pk}")
        subscription.get_message(timeout=1)

        def count(*events):
            with django_capture_on_commit_callbacks(execute=True):
                seller.count(*events)
            found = []
            while (message := subscription.get_message(timeout=0.2)) is not None:
                found.append(msgspec.json.decode(message["data"], type=Notice))
            return found

        yield count


def shown(notice, kind):
    return [one for one in notice.events if one.type == kind]


def test_each_step_of_each_event_is_told(told):
    (notice,) = told(
        event(1, sessionId="s"),
        event(1, sessionId="s"),
        event(2, occurredAt="2026-03-10T00:00:00Z"),
        event(3, customerId="nobody"),
        event(4, metricName="unknown"),
    )
    assert notice.counts == {
        "VALIDATED": 3, "ENRICHED": 2, "FLAGGED": 1, "DEDUPLICATED": 1, "REJECTED": 2,
    }  # fmt: skip
    (first, second) = shown(notice, "ENRICHED")
    assert (first.customerId, first.metricName, first.units) == ("cust_1", "calls", ["calls"])
    assert (first.outcome, first.idempotencyKey, first.sessionId) == ("COUNTED", "key-1", "s")
    assert bytes(first.quantity) == b"1"
    assert [one.idempotencyKey for one in shown(notice, "FLAGGED")] == [second.idempotencyKey]
    refused = {one.code: (one.customerId, one.metricName) for one in shown(notice, "REJECTED")}
    assert refused == {
        "UNKNOWN_CUSTOMER": ("nobody", "calls"),
        "UNKNOWN_METRIC": ("cust_1", "unknown"),
    }


def test_of_a_flood_the_first_are_told_and_all_are_numbered(told):
    many = MOST_OF_A_TYPE + 50
    (notice,) = told(*(event(number) for number in range(many)))
    assert notice.counts == {"VALIDATED": many, "ENRICHED": many}
    assert len(shown(notice, "ENRICHED")) == MOST_OF_A_TYPE


def test_nothing_is_told_where_nobody_listens(seller, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        seller.count(event(1))
    assert not any("_publish" in str(callback) for callback in callbacks)


def test_a_listener_that_nobody_confirms_is_forgotten(seller):
    valkey.client().zadd(LISTENED, {str(seller.tenant.pk): time.time() - 1})
    assert live.Audience().listened() == frozenset()


def test_redis_is_asked_once_a_second(seller, monkeypatch):
    audience = live.Audience()
    assert audience.listened() == frozenset()
    valkey.client().zadd(LISTENED, {str(seller.tenant.pk): time.time() + 60})
    assert audience.listened() == frozenset()

    later = time.monotonic() + 1
    monkeypatch.setattr("metering.ingest.live.time.monotonic", lambda: later)
    assert audience.listened() == {seller.tenant.pk}


def test_a_drain_does_not_notice_that_redis_is_away(seller, redis_down):
    assert live.Audience().listened() == frozenset()
    seller.count(event(1))
