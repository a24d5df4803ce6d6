"""Months of usage events: made ahead, filled from DEFAULT, never missed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, connections, transaction

from metering.models import UsageEvent
from metering.services import partitions
from metering.services.ingest import drain_once
from tests.factories import NOW, SandboxFactory
from tests.metering.events import event, outcomes, rows
from tests.metering.ledger import assert_totals_hold

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def held_by(partition):
    """How many events lie in a partition."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {partition}")
        return cursor.fetchone()[0]


def bounds():
    """Name and bounds of every month, as PostgreSQL spells them."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_events'::regclass"
        )
        return dict(cursor.fetchall())


@pytest.mark.django_db
def test_months_from_four_behind_to_two_ahead_are_made():
    made = partitions.make_around([datetime(2031, 1, 31, 23, 59, tzinfo=UTC)])
    assert made == [
        "usage_events_203009",
        "usage_events_203010",
        "usage_events_203011",
        "usage_events_203012",
        "usage_events_203101",
        "usage_events_203102",
        "usage_events_203103",
    ]
    assert bounds()["usage_events_203012"] == (
        "FOR VALUES FROM ('2030-12-01 00:00:00+00') TO ('2031-01-01 00:00:00+00')"
    )


@pytest.mark.django_db
def test_what_is_there_is_left_alone():
    moment = datetime(2031, 1, 1, tzinfo=UTC)
    assert len(partitions.make_around([moment])) == 7
    assert partitions.make_around([moment]) == []
    assert partitions.make_around([datetime(2031, 2, 1, tzinfo=UTC)]) == ["usage_events_203104"]


@pytest.mark.django_db
def test_every_month_of_a_span_is_made_both_ends_included():
    first, last = datetime(2030, 11, 30, tzinfo=UTC), datetime(2031, 2, 1, tzinfo=UTC)
    assert partitions.make_between(first, last) == [
        "usage_events_203011",
        "usage_events_203012",
        "usage_events_203101",
        "usage_events_203102",
    ]
    assert partitions.make_between(last, first) == []


@pytest.mark.django_db
def test_the_month_of_another_zone_is_that_of_utc():
    moment = datetime(2031, 1, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert partitions.make_between(moment, moment) == ["usage_events_203012"]


@pytest.mark.django_db
def test_every_clock_has_its_months():
    SandboxFactory(clock_frozen_at=datetime(2041, 6, 15, tzinfo=UTC))
    made = partitions.make_for_all_clocks(now=datetime(2031, 1, 1, tzinfo=UTC))
    assert {"usage_events_203009", "usage_events_203103"} <= set(made)
    assert {"usage_events_204102", "usage_events_204108"} <= set(made)


def test_an_event_of_a_month_that_is_not_made_lands_in_default_and_moves_out(seller):
    assert partitions.default_is_empty()
    times = ["2026-03-01T00:00:00Z", "2026-03-15T11:00:00.123456Z"]
    seller.count(*(event(number, occurredAt=time) for number, time in enumerate(times)))
    before = list(UsageEvent.objects.order_by("id").values())
    assert held_by("usage_events_default") == 2
    assert not partitions.default_is_empty()
    assert partitions.make_between(MARCH, MARCH) == ["usage_events_202603"]
    assert held_by("usage_events_default") == 0
    assert held_by("usage_events_202603") == 2
    assert partitions.default_is_empty()
    assert list(UsageEvent.objects.order_by("id").values()) == before
    assert_totals_hold()


def test_only_rows_of_the_month_move(seller):
    seller.tenant.clock_frozen_at = datetime(2026, 4, 2, tzinfo=UTC)
    seller.tenant.save()
    times = ["2026-03-31T23:59:59.999999Z", "2026-04-01T00:00:00Z"]
    seller.count(*(event(number, occurredAt=time) for number, time in enumerate(times)))
    partitions.make_between(MARCH, MARCH)
    assert (held_by("usage_events_202603"), held_by("usage_events_default")) == (1, 1)
    partitions.make_around([NOW])
    assert (held_by("usage_events_202604"), held_by("usage_events_default")) == (1, 0)


def test_a_new_month_takes_events_and_numbers_them_like_all_others(seller):
    seller.count(event(1))
    partitions.make_around([NOW])
    seller.count(event(2), event(3))
    assert (held_by("usage_events_202603"), held_by("usage_events_default")) == (3, 0)
    ids = [row.id for row in rows()]
    assert ids == sorted(set(ids))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_indexes"
            " WHERE tablename IN ('usage_events_202603', 'usage_events') GROUP BY tablename"
        )
        assert len(set(cursor.fetchall())) == 1
    assert_totals_hold()


@pytest.mark.django_db
def test_a_month_refuses_the_events_of_others(seller):
    partitions.make_around([NOW])
    seller.count(event(1))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_events_202602 SELECT * FROM usage_events WHERE metric = 'calls'"
        )


AROUND_NOW = [
    f"usage_events_{month}" for month in (202511, 202512, 202601, 202602, 202603, 202604, 202605)
]


@pytest.fixture
def dropped_months(transactional_db):
    """A flush empties tables but leaves months where they are: those of other tests, and ours."""
    drop_months()
    yield
    drop_months()


def drop_months():
    with connection.cursor() as cursor:
        for name in AROUND_NOW:
            cursor.execute(f"DROP TABLE IF EXISTS {name}")


@pytest.mark.django_db(transaction=True)
def test_months_may_be_made_by_eight_at_once_while_events_are_drained(seller, dropped_months):
    usual = connection.pool.max_size
    connection.pool.resize(1, 18)
    start = Barrier(8)
    for number in range(200):
        seller.send(event(number, occurredAt=f"2026-03-{number % 14 + 1:02}T00:00:00Z"))

    def work(number):
        start.wait()
        try:
            if number % 2:
                return partitions.make_around([NOW])
            while drain_once(shard=0, shards=1, now=NOW, limit=5):
                pass
            return []
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        made = [name for names in pool.map(work, range(8)) for name in names]
    seller.drain()
    connection.pool.resize(1, usual)
    assert sorted(made) == AROUND_NOW
    assert outcomes() == {"counted": 200}
    assert partitions.default_is_empty()
    assert held_by("usage_events_202603") == 200
    assert_totals_hold()
