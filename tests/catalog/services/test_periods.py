from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest
import time_machine
from django.db import connection

from catalog.models import SubscriptionPeriod
from catalog.services import periods
from catalog.tasks import extend_periods as extend_periods_task
from tests.factories import NOW, SandboxFactory, SubscriptionFactory, TenantFactory

pytestmark = pytest.mark.django_db
DAY = 86400


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def stored(subscription):
    return [(period.start_at, period.end_at) for period in subscription.periods.all()]


def test_month_ends_are_counted_from_the_anchor():
    subscription = SubscriptionFactory(start_at=utc(2026, 1, 31), anchor_day=31)
    assert periods.extend_periods(subscription=subscription, until=utc(2026, 4, 1)) == 3
    assert stored(subscription) == [
        (utc(2026, 1, 31), utc(2026, 2, 28)),
        (utc(2026, 2, 28), utc(2026, 3, 31)),
        (utc(2026, 3, 31), utc(2026, 4, 30)),
    ]


def test_a_later_extension_continues_where_the_last_one_ended():
    subscription = SubscriptionFactory(start_at=utc(2026, 1, 31), anchor_day=31)
    periods.extend_periods(subscription=subscription, until=utc(2026, 2, 1))
    first = subscription.periods.get()
    assert periods.extend_periods(subscription=subscription, until=utc(2026, 3, 1)) == 1
    assert periods.extend_periods(subscription=subscription, until=utc(2026, 3, 31)) == 0
    assert subscription.periods.first() == first
    assert stored(subscription) == [
        (utc(2026, 1, 31), utc(2026, 2, 28)),
        (utc(2026, 2, 28), utc(2026, 3, 31)),
    ]


def test_a_first_period_between_two_anchors_is_a_part():
    subscription = SubscriptionFactory(start_at=utc(2026, 3, 11, 6), anchor_day=1)
    periods.extend_periods(subscription=subscription, until=utc(2026, 3, 12))
    (period,) = subscription.periods.all()
    assert (period.start_at, period.end_at) == (utc(2026, 3, 11, 6), utc(2026, 4, 1))
    assert period.whole_start_at == utc(2026, 3, 1)
    assert period.whole_end_at is None
    assert period.seconds == Decimal(20 * DAY + 18 * 3600)
    assert period.whole_seconds == Decimal(31 * DAY)


def test_periods_turn_at_local_midnight_over_a_change_of_clocks():
    subscription = SubscriptionFactory(
        start_at=utc(2026, 2, 28, 23), anchor_day=1, time_zone="Europe/Berlin"
    )
    periods.extend_periods(subscription=subscription, until=utc(2026, 5, 1))
    assert stored(subscription) == [
        (utc(2026, 2, 28, 23), utc(2026, 3, 31, 22)),  # 1 March 00:00 +01, 1 April 00:00 +02
        (utc(2026, 3, 31, 22), utc(2026, 4, 30, 22)),
        (utc(2026, 4, 30, 22), utc(2026, 5, 31, 22)),
    ]
    assert subscription.periods.first().seconds == Decimal(31 * DAY - 3600)


def test_midnight_that_a_change_of_clocks_skips_still_turns_a_period():
    # In Cairo, 24 April 2026 begins at 01:00.
    subscription = SubscriptionFactory(
        start_at=utc(2026, 3, 23, 22), anchor_day=24, time_zone="Africa/Cairo"
    )
    periods.extend_periods(subscription=subscription, until=utc(2026, 4, 1))
    periods.extend_periods(subscription=subscription, until=utc(2026, 5, 1))
    assert stored(subscription) == [
        (utc(2026, 3, 23, 22), utc(2026, 4, 23, 22)),
        (utc(2026, 4, 23, 22), utc(2026, 5, 23, 21)),
    ]


def test_the_last_period_ends_with_the_subscription():
    subscription = SubscriptionFactory(
        start_at=utc(2026, 3, 1), end_at=utc(2026, 4, 16), anchor_day=1
    )
    assert periods.extend_periods(subscription=subscription, until=utc(2026, 9, 1)) == 2
    last = subscription.periods.last()
    assert (last.start_at, last.end_at) == (utc(2026, 4, 1), utc(2026, 4, 16))
    assert last.whole_end_at == utc(2026, 5, 1)
    assert last.seconds == Decimal(15 * DAY)
    assert last.whole_seconds == Decimal(30 * DAY)
    assert periods.extend_periods(subscription=subscription, until=utc(2026, 12, 1)) == 0


def test_an_end_on_a_turn_leaves_a_whole_period():
    subscription = SubscriptionFactory(start_at=utc(2026, 3, 1), end_at=utc(2026, 4, 1))
    periods.extend_periods(subscription=subscription, until=utc(2026, 9, 1))
    (period,) = subscription.periods.all()
    assert period.whole_end_at is None


def test_nothing_is_stored_for_what_begins_later():
    subscription = SubscriptionFactory(start_at=utc(2027, 1, 1))
    assert periods.extend_periods(subscription=subscription, until=utc(2026, 12, 1)) == 0


def test_new_periods_make_cached_contracts_stale():
    subscription = SubscriptionFactory()
    tenant = subscription.tenant
    periods.extend_periods(subscription=subscription, until=utc(2026, 3, 2))
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2
    periods.extend_periods(subscription=subscription, until=utc(2026, 3, 2))
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2


def test_a_tenants_periods_reach_as_far_as_asked(django_assert_max_num_queries):
    tenant = TenantFactory()
    short = SubscriptionFactory(tenant=tenant, months=1)
    covered = SubscriptionFactory(tenant=tenant, months=3)
    ended = SubscriptionFactory(tenant=tenant, end_at=utc(2026, 4, 1), months=1)
    cancelled = SubscriptionFactory(tenant=tenant, state="CANCELLED", end_at=utc(2026, 9, 1))
    foreign = SubscriptionFactory()

    with django_assert_max_num_queries(10):
        assert periods.extend_tenant_periods(tenant, utc(2026, 5, 10)) == 2

    assert short.periods.count() == 3
    assert covered.periods.count() == 3
    assert ended.periods.count() == 1
    assert cancelled.periods.count() == 0
    assert foreign.periods.count() == 0
    assert periods.extend_tenant_periods(tenant, utc(2026, 5, 10)) == 0


def test_each_tenant_is_extended_by_its_own_clock():
    live = SubscriptionFactory(start_at=utc(2026, 3, 1))
    frozen = SubscriptionFactory(
        tenant=SandboxFactory(clock_frozen_at=utc(2026, 6, 1)), start_at=utc(2026, 3, 1)
    )
    ahead = SubscriptionFactory(
        tenant=SandboxFactory(clock_offset=timedelta(days=31)), start_at=utc(2026, 3, 1)
    )

    # NOW + 62 days is 16 May, the frozen clock + 62 days is 2 August, the fast one's 16 June
    assert periods.extend_all_periods(now=NOW) == 3 + 6 + 4
    assert [row.periods.last().end_at for row in (live, frozen, ahead)] == [
        utc(2026, 6, 1),
        utc(2026, 9, 1),
        utc(2026, 7, 1),
    ]
    assert periods.extend_all_periods(now=NOW) == 0


def test_nothing_to_extend_is_one_statement(django_assert_num_queries):
    SubscriptionFactory(months=4)
    SubscriptionFactory(months=4)
    with django_assert_num_queries(1):
        assert periods.extend_all_periods(now=NOW) == 0


@time_machine.travel(NOW, tick=False)
def test_the_task_extends_by_the_clock_of_today():
    subscription = SubscriptionFactory()
    assert extend_periods_task() == 3
    assert subscription.periods.count() == 3


def test_cutting_takes_back_what_would_follow():
    subscription = SubscriptionFactory(months=3)
    periods.cut_periods(subscription=subscription, end=utc(2026, 4, 11), now=NOW)
    assert stored(subscription) == [
        (utc(2026, 3, 1), utc(2026, 4, 1)),
        (utc(2026, 4, 1), utc(2026, 4, 11)),
    ]
    last = subscription.periods.last()
    assert (last.seconds, last.whole_seconds) == (Decimal(10 * DAY), Decimal(30 * DAY))


@pytest.mark.django_db(transaction=True)
def test_eight_threads_extend_once():
    subscription = SubscriptionFactory(months=1)
    barrier = Barrier(8)

    def extend(_):
        try:
            barrier.wait(10)
            return periods.extend_tenant_periods(subscription.tenant, utc(2026, 12, 1))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(extend, range(8)))

    assert sorted(counts) == [0, 0, 0, 0, 0, 0, 0, 8]
    assert SubscriptionPeriod.objects.count() == 9
