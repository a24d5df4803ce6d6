"""Unusual hours: found against the same subscription's baseline, once until they are usual."""

from datetime import UTC, datetime, timedelta

import pytest

from aforo.outbox.models import OutboxMessage
from catalog.models import Subscription
from metering.models import Alert, MonitorSettings
from metering.monitors.anomalies import find_anomalies
from tests.factories import (
    BillableUnitFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
    SubscriptionPlanFactory,
    TenantFactory,
)
from tests.metering.monitors.sums import used

FIRST = datetime(2026, 3, 1, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAVE = [90, 100, 110, 100]


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def unit(tenant):
    return BillableUnitFactory(tenant=tenant, name="calls")


@pytest.fixture
def subscription(tenant):
    return SubscriptionFactory(tenant=tenant, customer__external_id="cust_1")


def judge(tenant, number, **settings):
    """The hour with this number since the first."""
    hour = FIRST + number * HOUR
    return find_anomalies(
        tenant=tenant, settings=MonitorSettings(**settings), hour=hour, now=hour + 2 * HOUR
    )


def test_a_spike_is_found_once_and_told_with_its_evidence(tenant, unit, subscription):
    used(subscription, unit, FIRST, [*WAVE * 12, 400])
    assert judge(tenant, 47) == 0
    assert judge(tenant, 48) == 1
    assert judge(tenant, 48) == 0
    alert = Alert.objects.get()
    assert alert.title == "cust_1: calls is unusually high"
    assert (alert.customer, alert.unit, alert.severity) == (
        subscription.customer,
        unit,
        "CRITICAL",
    )
    assert alert.evidence["numbers"] == {
        "hour": "2026-03-03T07:00:00+00:00",
        "observed": "400",
        "mean": "100",
        "deviation": "7.145896",
        "deviations": "42.0",
        "samples": 48,
        "sigma": "2",
    }
    assert alert.evidence["events"] == {"firstId": 49, "lastId": 49, "count": 1}
    assert alert.evidence["chart"]["values"][-2:] == [100, 400]
    message = OutboxMessage.objects.get(fact="usage.anomaly_detected")
    assert (message.payload["customerId"], message.payload["direction"]) == ("cust_1", "HIGH")
    assert message.payload["alertId"] == str(alert.pk)


def test_it_recovers_with_the_first_usual_hour_and_is_armed_again(tenant, unit, subscription):
    used(subscription, unit, FIRST, [*WAVE * 12, 400, 400, 100, 1500])
    found = [judge(tenant, number) for number in (48, 49, 50, 51)]
    assert found == [1, 0, 0, 1]
    states = Alert.objects.order_by("pk").values_list("state", "occurrences")
    assert list(states) == [("RECOVERED", 2), ("OPEN", 1)]


@pytest.mark.parametrize(
    ("hours", "value", "found"),
    [
        ([100] * 23, 900, 0),  # too few samples
        ([100] * 24, 109, 0),  # a flat baseline: nothing within 2 x 5 % of its mean
        ([100] * 24, 111, 1),
        ([100] * 24, 89, 1),
        (WAVE * 6, 114, 0),
        (WAVE * 6, 116, 1),
    ],
)
def test_how_far_an_hour_must_be_from_the_mean(subscription, unit, hours, value, found):
    used(subscription, unit, FIRST, [*hours, value])
    assert judge(subscription.tenant, len(hours)) == found


def test_only_the_last_days_are_the_baseline(tenant, unit, subscription):
    used(subscription, unit, FIRST, [*[1000] * 48, *[100] * 72, 200])
    assert judge(tenant, 120, baseline_days=3) == 1
    (chosen,) = Alert.objects.values_list("evidence__numbers__mean", "evidence__numbers__samples")
    assert chosen == ("100", 72)
    assert judge(tenant, 120, baseline_days=4) == 0


def test_silence_is_unusual_where_there_was_hardly_any(tenant, unit, subscription):
    rare = SubscriptionFactory(tenant=tenant)
    used(subscription, unit, FIRST, [*WAVE * 12])
    used(rare, unit, FIRST, [100, 0, 100, 0, 100] * 10)
    assert judge(tenant, 48, baseline_days=2) == 1
    alert = Alert.objects.get()
    assert alert.subscription_id == subscription.pk
    assert alert.evidence["numbers"]["observed"] == "0"
    assert "events" not in alert.evidence


def test_a_subscription_that_is_over_is_not_judged(tenant, unit):
    over = SubscriptionFactory(tenant=tenant, end_at=FIRST + 30 * HOUR, state="CANCELLED")
    used(over, unit, FIRST, WAVE * 12)
    assert judge(tenant, 48, baseline_days=2) == 0


def test_an_alert_closes_when_its_subscription_is_over(tenant, unit, subscription):
    used(subscription, unit, FIRST, [*[100, 0] * 24, 9000])
    assert judge(tenant, 48) == 1
    judge(tenant, 49)
    assert Alert.objects.get().state == "OPEN"  # no hour with usage has come
    Subscription.objects.update(end_at=FIRST + 50 * HOUR, state="CANCELLED")
    judge(tenant, 50)
    assert Alert.objects.get().state == "RECOVERED"


def pinned(subscription, unit):
    """A plan of the subscription that prices this unit alone."""
    prices = {unit: {"model": "PER_UNIT", "rate": "1"}}
    version = RatePlanVersionFactory(tenant=unit.tenant, prices=prices, published=True)
    return SubscriptionPlanFactory(subscription=subscription, version=version)


def test_usage_without_a_price_is_judged_and_its_silence_is_not(tenant, unit, subscription):
    dense = SubscriptionFactory(tenant=tenant)
    used(dense, unit, FIRST, WAVE * 12)
    used(subscription, unit, FIRST, [*[100, 0] * 24, 9000, 9000, 0, 9000, 9000])
    other = BillableUnitFactory(tenant=tenant, name="other")
    for each in (subscription, dense):
        plan = pinned(each, other)
        SubscriptionPeriodFactory(subscription=each)
    assert [judge(tenant, number, baseline_days=2) for number in (48, 49)] == [1, 0]
    alert = Alert.objects.get()
    assert (alert.state, alert.occurrences) == ("OPEN", 2)
    assert judge(tenant, 50) == 0  # nothing comes, and nothing is expected
    alert.refresh_from_db()
    assert alert.state == "RECOVERED"

    plan.delete()
    pinned(dense, unit)
    assert judge(tenant, 48, baseline_days=2) == 2  # of the other, the silence
    type(unit).objects.filter(pk=unit.pk).update(archived_at=FIRST)
    assert judge(tenant, 51) == 0
    assert not Alert.objects.filter(state="OPEN").exists()


def test_other_tenants_are_left_alone(tenant, unit, subscription):
    used(subscription, unit, FIRST, [*WAVE * 12, 400])
    assert judge(TenantFactory(), 48) == 0
    assert not Alert.objects.exists()
