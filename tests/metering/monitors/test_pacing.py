"""Pacing: what an allowance will come to, told once per period and threshold."""

from datetime import UTC, datetime, timedelta

import pytest

from aforo.outbox.models import OutboxMessage
from metering.models import Alert, MonitorSettings, RunningTotal
from metering.monitors.pacing import find_paces
from tests.factories import (
    MONTH_START,
    BillableUnitFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)

DAY = timedelta(days=1)
INCLUDED = {"model": "INCLUDED_QUOTA", "includedFree": "3100", "rate": "0.01"}


@pytest.fixture
def tenant(db):
    return TenantFactory()


def total_of(tenant, quantity, *, terms=INCLUDED, rollover=0, **unit):
    """A total of March, whose plan includes 100 units a day."""
    unit = BillableUnitFactory(tenant=tenant, name="calls", **unit)
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: terms}, published=True)
    subscription = SubscriptionFactory(
        tenant=tenant,
        customer__external_id="cust_1",
        customer__email="it@example.com",
        versions=[version],
        months=2,
    )
    return RunningTotal.objects.create(
        tenant_id=tenant.pk,
        subscription_id=subscription.pk,
        plan_version_id=version.pk,
        unit_id=unit.pk,
        period_id=subscription.periods.order_by("start_at")[0].pk,
        quantity=quantity,
        rollover=rollover,
        event_count=quantity,
    )


def judge(tenant, days, **settings):
    now = MONTH_START + days * DAY
    return find_paces(tenant=tenant, settings=MonitorSettings(**settings), now=now)


def use(total, quantity):
    RunningTotal.objects.filter(pk=total.pk).update(quantity=quantity)


def thresholds():
    alerts = Alert.objects.order_by("pk").values_list("evidence__numbers__threshold", "state")
    return list(alerts)


def test_each_threshold_is_told_once_in_a_period(tenant):
    total = total_of(tenant, 790)
    assert judge(tenant, 10) == 0  # 79 %
    use(total, 800)
    assert judge(tenant, 10) == 1
    assert judge(tenant, 10) == judge(tenant, 11) == 0
    use(total, 1200)
    assert judge(tenant, 10) == 1  # 120 %, and 100 % with it
    assert judge(tenant, 12) == 0
    use(total, 1300)
    assert judge(tenant, 13) == 0  # it is at 100 % again: that was told
    assert thresholds() == [(80, "OPEN"), (120, "OPEN")]
    assert judge(tenant, 31) == 0
    assert thresholds() == [(80, "RECOVERED"), (120, "RECOVERED")]


def test_customer_and_operator_are_told_with_the_numbers(tenant):
    total = total_of(tenant, 1000)
    assert judge(tenant, 10) == 1
    numbers = {
        "threshold": 100,
        "projectedPercent": "100",
        "projected": "3100",
        "used": "1000",
        "included": "3100",
        "periodStart": "2026-03-01T00:00:00+00:00",
        "periodEnd": "2026-04-01T00:00:00+00:00",
        "hardLimit": False,
    }
    alert = Alert.objects.get()
    assert alert.evidence["numbers"] == numbers
    assert (alert.subject, alert.severity) == (f"{total.pk}:100", "WARNING")
    assert alert.title == "cust_1: calls will come to 100 % of what is included"
    said = OutboxMessage.objects.get(fact="quota.threshold_reached").payload
    assert said["audience"] == ["CUSTOMER", "OPERATOR"]
    assert (said["customerId"], said["customerEmail"]) == ("cust_1", "it@example.com")
    assert numbers.items() <= said.items()


def test_the_first_days_of_a_period_tell_nothing(tenant):
    total_of(tenant, 3000)
    assert judge(tenant, 1.5) == 0
    assert judge(tenant, 1.5, pacing_from_percent=10) == 0
    assert judge(tenant, 1.56) == 1


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"rollover": 1500}, 0),  # 100 % of the plan's, 67 % with what was carried over
        ({"aggregation": "MAX"}, 0),  # a level is not drawn out
        ({"aggregation": "SUM", "recurring": True}, 0),
        ({"aggregation": "SUM"}, 1),
        ({"terms": {"model": "PER_UNIT", "rate": "1"}}, 0),
        ({"terms": {**INCLUDED, "divideBy": "10"}}, 0),
        ({"terms": {**INCLUDED, "includedFree": "310", "divideBy": "10"}}, 1),
    ],
)
def test_what_the_projection_is_compared_with(tenant, more, found):
    total_of(tenant, 1000, **more)
    assert judge(tenant, 10) == found


def test_thresholds_are_the_tenants_own(tenant):
    total_of(tenant, 500)
    assert judge(tenant, 10) == 0
    assert judge(tenant, 10, pacing_thresholds=[50, 90]) == 1


def test_another_tenant_is_left_alone(tenant):
    total_of(tenant, 5000)
    other = TenantFactory()
    assert (
        find_paces(tenant=other, settings=MonitorSettings(), now=datetime(2026, 3, 11, tzinfo=UTC))
        == 0
    )
