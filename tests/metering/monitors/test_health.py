"""Unit health: usage over the tiers of plans, and units that are silent."""

from datetime import UTC, datetime, timedelta

from catalog.models import BillableUnit, SubscriptionPlan
from metering.models import Alert, RunningTotal, UnitActivity, UnitHealth, UsageEvent
from metering.monitors.health import take_health
from metering.monitors.summing import sum_usage
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import event

WALL = datetime(2026, 5, 1, tzinfo=UTC)  # everybody's clock: the tenant's stands still


def take(seller, now=WALL):
    return take_health(tenant=seller.tenant, now=now, at=NOW)


def health_of(seller, name):
    return UnitHealth.objects.get(tenant=seller.tenant, unit__name=name)


def test_usage_is_spread_over_the_tiers_of_its_plan(seller):
    """1,000 is still of the first tier; a larger quantity fills it and goes on in the next."""
    for number, quantity in enumerate((400, 1000, 3000), start=1):
        if number > 1:
            subscribe(seller.tenant, f"cust_{number}")
        customer = {"customerId": f"cust_{number}", "metricName": "tokens"}
        seller.count(event(number, quantity=quantity, **customer))
    assert take(seller) == 2
    tokens = health_of(seller, "tokens")
    assert tokens.tiers == [
        {"from": "0", "to": "1000", "subscriptions": 2, "customers": 2, "quantity": "2400"},
        {"from": "1000", "to": None, "subscriptions": 1, "customers": 1, "quantity": "2000"},
    ]
    assert (tokens.quantity, tokens.subscriptions, tokens.customers) == (4400, 3, 3)
    calls = health_of(seller, "calls")
    assert [tier["quantity"] for tier in calls.tiers] == ["0"]


def test_a_new_unit_is_there_without_a_plan_and_an_archived_one_leaves(seller):
    unit = BillableUnitFactory(tenant=seller.tenant, name="fresh")
    assert take(seller) == 3
    fresh = health_of(seller, "fresh")
    assert (fresh.version, fresh.status, fresh.tiers) == (None, "NO_DATA", [])
    unit.archived_at = NOW
    unit.save()
    assert take_health(tenant=seller.tenant, now=WALL, at=NOW + timedelta(hours=1)) == 2
    assert not UnitHealth.objects.filter(unit=unit).exists()


def test_a_unit_that_falls_silent_is_told_until_it_is_back(seller):
    take(seller)
    unit = health_of(seller, "calls").unit
    assert not Alert.objects.exists()  # it never had an event
    seller.count(event(1), event(2))
    UnitActivity.objects.all().delete()
    sum_usage()

    seen = UnitActivity(unit_id=unit.pk, tenant_id=seller.tenant.pk)
    for hours, status, alerts in ((23, "HEALTHY", 0), (25, "NO_DATA", 1), (1, "HEALTHY", 0)):
        seen.last_event_at = WALL - timedelta(hours=hours)
        seen.save()
        take(seller)
        assert health_of(seller, "calls").status == status
        assert Alert.objects.filter(kind="UNIT_NO_DATA", state="OPEN").count() == alerts
    found = Alert.objects.get().evidence
    ids = list(UsageEvent.objects.order_by("id").values_list("pk", flat=True))
    assert found["events"] == {"firstId": ids[0], "lastId": ids[-1], "count": 2}
    assert (found["chart"]["labels"][-1], found["chart"]["values"][-1]) == ("03-15", 2)


def test_an_alert_about_a_unit_that_is_archived_closes(seller):
    seller.count(event(1))
    UnitActivity.objects.update_or_create(
        tenant_id=seller.tenant.pk,
        unit_id=BillableUnit.objects.get(name="calls").pk,
        defaults={"last_event_at": WALL - timedelta(hours=25)},
    )
    take(seller)
    assert Alert.objects.get(kind="UNIT_NO_DATA").state == "OPEN"
    BillableUnit.objects.filter(name="calls").update(archived_at=NOW)
    take(seller)
    assert Alert.objects.get(kind="UNIT_NO_DATA").state == "RECOVERED"


def test_taking_it_twice_leaves_one_row_per_unit_and_plan(seller):
    assert take(seller) == take(seller) == UnitHealth.objects.count() == 2


def test_who_is_in_two_tiers_with_two_values_of_a_dimension_is_one(seller):
    seller.count(event(1, metricName="tokens", quantity=400))
    first = RunningTotal.objects.get(dimension="", quantity=400)
    RunningTotal.objects.create(
        tenant_id=first.tenant_id,
        subscription_id=first.subscription_id,
        plan_version_id=first.plan_version_id,
        unit_id=first.unit_id,
        period_id=first.period_id,
        dimension='{"model":"large"}',
        quantity=3000,
    )
    take(seller)
    tokens = health_of(seller, "tokens")
    assert (tokens.subscriptions, tokens.customers, tokens.quantity) == (1, 1, 3400)
    assert [(tier["subscriptions"], tier["customers"]) for tier in tokens.tiers] == [(1, 1)] * 2


def test_what_is_gone_leaves_although_the_clock_stands_still(seller):
    take(seller)
    plans = SubscriptionPlan.objects.filter(tenant=seller.tenant)
    plans.update(version=RatePlanVersionFactory(tenant=seller.tenant, published=True, prices={}))
    take(seller)
    assert {row.version_id for row in UnitHealth.objects.all()} == {None}
    assert UnitHealth.objects.count() == 2
