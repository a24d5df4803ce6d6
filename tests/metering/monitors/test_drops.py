"""Drops: a week that is half of the week before, told once until usage is back."""

from datetime import UTC, datetime, timedelta

import pytest

from aforo.outbox.models import OutboxMessage
from catalog.models import BillableUnit, Subscription
from metering.models import Alert, MonitorSettings
from metering.monitors.drops import find_drops
from tests.factories import (
    BillableUnitFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
    SubscriptionPlanFactory,
    TenantFactory,
)
from tests.metering.monitors.sums import used

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def tenant(db):
    return TenantFactory()


def use(tenant, *daily, subscription=None):
    """So much on each day, in its first hours."""
    subscription = subscription or SubscriptionFactory(
        tenant=tenant, customer__external_id="cust_1"
    )
    unit = BillableUnitFactory(tenant=tenant)
    hours = [hour for quantity in daily for hour in (quantity, quantity, *[0] * 22)]
    used(subscription, unit, FIRST, hours)
    return subscription


def judge(tenant, day, **settings):
    end = FIRST + day * DAY
    return find_drops(tenant=tenant, settings=MonitorSettings(**settings), end=end, now=end)


@pytest.mark.parametrize(("week", "found"), [(51, 0), (50, 1), (10, 1), (0, 1)])
def test_a_week_of_half_the_usage_is_a_drop(tenant, week, found):
    use(tenant, *[100] * 7, *[week] * 7)
    assert judge(tenant, 14) == found
    assert judge(tenant, 14) == 0
    assert OutboxMessage.objects.filter(fact="usage.dropped").count() == found


def test_a_drop_is_told_with_its_weeks(tenant):
    use(tenant, *[100] * 7, *[25] * 7)
    judge(tenant, 14)
    alert = Alert.objects.get()
    assert alert.evidence["numbers"] == {
        "week": "2026-03-08T00:00:00+00:00",
        "before": "1400",
        "after": "350",
        "dropPercent": "75.0",
    }
    assert alert.evidence["chart"]["values"] == [200] * 7 + [50] * 7
    assert alert.evidence["events"]["count"] == 28
    assert "dropped by 75 % within a week" in alert.title


def test_it_recovers_when_usage_is_back_and_is_armed_again(tenant):
    use(tenant, *[100] * 7, *[20] * 14, *[100] * 7, *[20] * 7)
    found = {day: judge(tenant, day) for day in range(14, 36)}
    assert [day for day, raised in found.items() if raised] == [14, 34]
    assert list(Alert.objects.order_by("pk").values_list("state", flat=True)) == [
        "RECOVERED",
        "OPEN",
    ]


def test_a_little_usage_and_an_ended_subscription_are_no_drop(tenant):
    use(tenant, *[1] * 4)
    use(
        tenant,
        *[100] * 7,
        subscription=SubscriptionFactory(tenant=tenant, end_at=FIRST + 9 * DAY, state="CANCELLED"),
    )
    assert judge(tenant, 11) == 0
    assert judge(tenant, 14) == 0
    assert judge(tenant, 11, drop_minimum_events=8) == 1


def test_it_stays_open_while_usage_is_nothing_until_the_subscription_is_over(tenant):
    subscription = use(tenant, *[100] * 7)
    found = [judge(tenant, day) for day in range(8, 40)]
    assert sum(found) == 1
    alert = Alert.objects.get()
    assert alert.state == "OPEN"
    Subscription.objects.filter(pk=subscription.pk).update(
        end_at=FIRST + 41 * DAY, state="CANCELLED"
    )
    assert judge(tenant, 40) == 0
    assert Alert.objects.get().state == "OPEN"
    assert judge(tenant, 41) == 0
    alert.refresh_from_db()
    assert (alert.state, alert.recovered_at) == ("RECOVERED", FIRST + 41 * DAY)


def test_usage_without_a_price_drops_and_may_end_without_a_word(tenant):
    subscription = use(tenant, *[100] * 7, *[10] * 7)
    other = BillableUnitFactory(tenant=tenant)
    prices = {other: {"model": "PER_UNIT", "rate": "1"}}
    version = RatePlanVersionFactory(tenant=tenant, prices=prices, published=True)
    SubscriptionPlanFactory(subscription=subscription, version=version)
    SubscriptionPeriodFactory(subscription=subscription)
    assert judge(tenant, 14) == 1
    assert [judge(tenant, day) for day in (15, 20)] == [0, 0]
    assert Alert.objects.get().state == "OPEN"
    assert judge(tenant, 21) == 0  # a week without any
    assert Alert.objects.get().state == "RECOVERED"


@pytest.mark.parametrize("days", [9, 10, 14])
def test_usage_that_ends_with_its_price_is_no_drop(tenant, days):
    """Days of the week before the change are no usage that goes on without a price."""
    subscription = use(tenant, *[100] * days)
    prices = {BillableUnitFactory(tenant=tenant): {"model": "PER_UNIT", "rate": "1"}}
    version = RatePlanVersionFactory(tenant=tenant, prices=prices, published=True)
    SubscriptionPlanFactory(subscription=subscription, version=version)
    SubscriptionPeriodFactory(subscription=subscription)
    assert [judge(tenant, day) for day in range(days + 1, days + 9)] == [0] * 8


def test_an_alert_about_a_unit_that_is_archived_closes(tenant):
    use(tenant, *[100] * 7)
    assert judge(tenant, 14) == 1
    BillableUnit.objects.filter(tenant=tenant).update(archived_at=FIRST + 14 * DAY)
    assert [judge(tenant, day) for day in (15, 16)] == [0, 0]
    assert Alert.objects.get().state == "RECOVERED"
