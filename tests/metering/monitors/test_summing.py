"""Usage by the hour and the day: each event once, whoever writes meanwhile."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from aforo.tenancy.models import Tenant
from catalog.models import BillableUnit
from metering.models import DailyUsage, HourlyUsage, UsageSumming
from metering.monitors import summing
from metering.monitors.summing import forget_old_sums, is_behind, sum_usage
from tests.factories import TenantFactory
from tests.metering.conftest import NOW
from tests.metering.events import event, rows
from tests.metering.monitors.sums import add_up_days

COLUMNS = """
    tenant_id, customer_id, subscription_id, unit_id, idempotency_key, metric, quantity, revenue,
    cost, occurred_at, received_at, late, source, batch_id, batch_index
"""
MINUTE = timedelta(minutes=1)
ELEVEN, TEN = datetime(2026, 3, 15, 11, tzinfo=UTC), datetime(2026, 3, 15, 10, tzinfo=UTC)


def sums(model):
    hours = model.objects.order_by("unit_id", "pk").values_list(
        "quantity", "event_count", "revenue", "first_event_id", "last_event_id"
    )
    return list(hours)


def test_events_are_added_to_their_hours_once(seller):
    seller.count(event(1), event(2), event(3, occurredAt="2026-03-15T10:59:59Z"))
    assert sum_usage() > 0
    assert sum_usage() == 0
    first, second, third = (row.pk for row in sorted(rows(), key=lambda row: row.pk))
    hours = {row.hour: (row.quantity, row.event_count) for row in HourlyUsage.objects.all()}
    assert hours == {ELEVEN: (2, 2), TEN: (1, 1)}

    seller.count(event(4, quantity=9), event(5, metricName="tokens", quantity=100))
    sum_usage()
    calls = HourlyUsage.objects.get(hour=ELEVEN, quantity=3)
    assert (calls.event_count, calls.revenue) == (3, Decimal("0.06"))
    assert calls.first_event_id == first
    assert calls.last_event_id > third > second
    tokens = HourlyUsage.objects.get(quantity=100)
    assert (tokens.event_count, tokens.revenue) == (1, 1)


def test_days_hold_what_their_hours_hold_and_the_squares(seller):
    at = [f"2026-03-{day}T{hour}:30:00Z" for day in (13, 14) for hour in (10, 11, 11)]
    for number, moment in enumerate(at):
        seller.count(event(number, occurredAt=moment, metricName="tokens", quantity=number + 1))
        if number % 2:
            sum_usage()
    sum_usage()
    counted = list(DailyUsage.objects.order_by("day").values())
    assert [(day["hours"], day["level"], day["squares"]) for day in counted] == [
        (2, 6, 1 + 25),
        (2, 15, 16 + 121),
    ]
    add_up_days()
    assert list(DailyUsage.objects.order_by("day").values()) == counted


def test_the_level_of_a_unit_that_does_not_add_up_is_its_mean(seller):
    seller.tenant.refresh_from_db()
    unit = seller_unit(seller, "tokens")
    unit.aggregation = "MAX"
    unit.save()
    for number, quantity in enumerate((10, 20, 60)):
        seller.count(event(number, metricName="tokens", quantity=quantity))
        sum_usage()
    day = DailyUsage.objects.get()
    assert (day.hours, day.level, day.squares) == (1, 30, 900)


def test_an_event_that_is_taken_back_leaves_its_hour(seller):
    seller.count(event(1), event(2), event(3, metricName="tokens", quantity=100))
    sum_usage()
    from_hour = {row.unit_id: row for row in HourlyUsage.objects.all()}
    assert len(from_hour) == 2
    with connection.cursor() as cursor:  # as a correction writes it
        cursor.execute("""
            INSERT INTO usage_events (tenant_id, customer_id, subscription_id, unit_id,
                idempotency_key, metric, quantity, revenue, cost, occurred_at, received_at, late,
                source, batch_id, batch_index)
            SELECT tenant_id, customer_id, subscription_id, unit_id, idempotency_key, metric,
                -quantity, -revenue, -cost, occurred_at, received_at, late, 'VOID', batch_id, 0
            FROM usage_events WHERE metric = 'tokens' OR idempotency_key = 'key-1'
        """)
    sum_usage()
    left = {
        row.unit_id: (row.quantity, row.event_count, row.revenue)
        for row in HourlyUsage.objects.all()
    }
    calls, tokens = seller_unit(seller, "calls").pk, seller_unit(seller, "tokens").pk
    assert left == {calls: (1, 1, Decimal("0.02")), tokens: (0, 0, 0)}
    days = {row.unit_id: (row.hours, row.level, row.squares) for row in DailyUsage.objects.all()}
    assert days == {calls: (1, 1, 1), tokens: (0, 0, 0)}


def test_pages_are_passed_one_after_the_other(seller, monkeypatch):
    sum_usage()  # what was drawn from the sequence before
    monkeypatch.setattr(summing, "IDS_PER_PAGE", 2)
    seller.count(*(event(number) for number in range(5)))
    sum_usage()
    assert HourlyUsage.objects.get().event_count == 5
    about, now = {"tenant_id": seller.tenant.pk, "at": NOW}, timezone.now() + 11 * MINUTE
    assert not is_behind(now=now, **about)
    monkeypatch.setattr(summing, "MOST_PAGES", 1)
    seller.count(*(event(number) for number in range(5, 9)))
    assert is_behind(now=now, **about)
    for is_left in (True, False):
        assert sum_usage() == 2
        assert is_behind(now=now, **about) == is_left


def test_a_batch_that_waits_too_long_is_no_silence(seller):
    sum_usage()
    at, other = NOW + MINUTE, TenantFactory()
    seller.send(event(1))  # accepted, and nobody drains
    now = timezone.now()
    assert not is_behind(tenant_id=seller.tenant.pk, now=now, at=at)
    at += 10 * MINUTE
    assert is_behind(tenant_id=seller.tenant.pk, now=now, at=at)
    assert not is_behind(tenant_id=other.pk, now=now, at=at)
    seller.drain()
    sum_usage()
    assert not is_behind(tenant_id=seller.tenant.pk, now=now, at=at)


@pytest.mark.django_db(transaction=True)
def test_what_is_being_written_is_not_passed_until_it_is_there(seller):
    """A drain that began earlier and commits later brings lower ids than those summed up."""
    seller.count(event(1))
    asked = connection.get_connection_params()
    about = {name: asked[name] for name in ("dbname", "user", "host") if name in asked}
    with psycopg.connect(**about) as slow:
        slow.execute(f"INSERT INTO usage_events ({COLUMNS}) SELECT {COLUMNS} FROM usage_events")
        seller.count(event(2))
        assert sum_usage() == 0  # nobody knows what else is being written
        assert sum_usage() == 0
        about, now = {"tenant_id": seller.tenant.pk, "at": NOW}, timezone.now()
        assert not is_behind(now=now, **about)
        assert is_behind(now=now + 11 * MINUTE, **about)  # for so long hours lack what was drawn
        slow.commit()
        assert is_behind(now=now + 11 * MINUTE, **about)  # until it is summed up
    assert sum_usage() > 0
    assert not is_behind(now=now + 11 * MINUTE, **about)
    assert HourlyUsage.objects.get().event_count == 3
    state = UsageSumming.objects.get()
    assert (state.pending_until, state.pending_transactions) == (None, [])


@pytest.mark.django_db(transaction=True)
def test_what_is_unsummed_is_behind_by_its_age_however_much_it_is(seller):
    """Drains that overlap, so that somebody is always writing events."""
    seller.count(event(1))
    sum_usage()
    asked = connection.get_connection_params()
    about = {name: asked[name] for name in ("dbname", "user", "host") if name in asked}
    draw = "SELECT setval('usage_events_id_seq', nextval('usage_events_id_seq') + 600000)"
    one, other = psycopg.connect(**about), psycopg.connect(**about)
    at_ends = []
    for ending, beginning in ((one, other), (other, one)) * 3:
        beginning.execute("LOCK TABLE usage_events IN ROW EXCLUSIVE MODE")
        ending.rollback()
        with connection.cursor() as cursor:
            cursor.execute(draw)
        at_ends.append(timezone.now())
        sum_usage()  # up to what was drawn when it ran before
        about = {"tenant_id": seller.tenant.pk, "at": NOW}
        assert not is_behind(now=timezone.now(), **about)
    assert not is_behind(now=at_ends[-2] + summing.SETTLED, **about)
    assert is_behind(now=at_ends[-1] + summing.SETTLED, **about)  # of after the one before
    for each in (one, other):
        each.close()


def test_old_sums_are_forgotten_by_the_clock_of_their_tenant(seller):
    seller.count(event(1))
    sum_usage()
    wall = datetime(2030, 1, 1, tzinfo=UTC)
    assert forget_old_sums(now=wall) == 0
    for shown, forgotten in ((datetime(2026, 6, 30, tzinfo=UTC), 1), (wall, 1)):
        Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=shown)
        assert forget_old_sums(now=wall) == forgotten
    assert not DailyUsage.objects.exists()


def seller_unit(seller, name):
    return BillableUnit.objects.get(tenant=seller.tenant, name=name)
