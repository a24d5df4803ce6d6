"""What Prometheus is told of what waits."""

from tests.factories import SessionFactory
from tests.metering.events import event


def figures(client):
    lines = client.get("/metrics").content.decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("aforo_"))


def test_what_waits_is_told(client, seller):
    seller.count(event(1, customerId="nobody"))
    seller.send(event(2), event(3))
    SessionFactory(tenant=seller.tenant)

    told = figures(client)
    assert told["aforo_inbox_batches"] == "1.0"
    assert told["aforo_inbox_events"] == "2.0"
    assert told["aforo_dead_letters_open"] == "1.0"
    assert told["aforo_held_events_waiting"] == "0.0"
    assert told["aforo_sessions_open"] == "1.0"
    assert "aforo_inbox_oldest_seconds" in told


def test_requests_are_told_as_before(client, db):
    assert b"django_http_requests" in client.get("/metrics").content
