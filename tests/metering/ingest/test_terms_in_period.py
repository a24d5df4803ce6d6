"""By which terms an event is priced: pins, currencies, contracts, trials, pauses, cut periods."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.money import plain
from catalog.models import (
    Subscription,
    SubscriptionPeriod,
    SubscriptionPlan,
)
from catalog.selectors.prices import prices_of_periods, prices_of_totals
from metering.models import RunningTotal
from tests.factories import (
    BillableUnitFactory,
    ContractFactory,
    ContractPhaseFactory,
    ContractPriceFactory,
    RatePlanVersionFactory,
    UnitPriceFactory,
)
from tests.metering.conftest import NOW, catalog_changed, subscribe
from tests.metering.events import codes, event, outcomes, rows
from tests.metering.ledger import assert_totals_hold

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
QUOTA = {"model": "PER_UNIT", "rate": "1", "includedFree": "10"}


@pytest.fixture
def calls(seller):
    return BillableUnitFactory(tenant=seller.tenant, name="api", aggregation="SUM")


@pytest.fixture
def plan(seller, calls):
    return RatePlanVersionFactory(tenant=seller.tenant, prices={calls: QUOTA}, published=True)


@pytest.fixture
def buyer(seller, plan):
    return subscribe(seller.tenant, "buyer", plan, months=2)


def sent(number, quantity=12, **fields):
    return event(number, customerId="buyer", metricName="api", quantity=quantity, **fields)


def revenues():
    return [plain(row.revenue) for row in rows()]


def march_of(subscription):
    return subscription.periods.order_by("start_at").first()


def agree(subscription, unit, **price):
    """A contract over the first period, with one price."""
    contract = ContractFactory(tenant=subscription.tenant, customer=subscription.customer)
    phase = ContractPhaseFactory(contract=contract)
    ContractPriceFactory(phase=phase, unit=unit, **{"terms": None} | price)
    subscription.periods.update(contract_phase=phase)
    catalog_changed(subscription.tenant)


def test_a_version_prices_the_periods_that_begin_while_it_is_pinned(seller, buyer, calls, plan):
    newer = RatePlanVersionFactory(
        tenant=seller.tenant, prices={calls: QUOTA | {"rate": "2"}}, published=True
    )
    april = march_of(buyer).end_at
    SubscriptionPlan.objects.filter(subscription=buyer).update(end_at=april)
    SubscriptionPlan.objects.create(
        tenant=seller.tenant, subscription=buyer, version=newer, start_at=april
    )
    catalog_changed(seller.tenant)
    seller.count(sent(1))
    seller.tenant.clock_frozen_at = april + timedelta(days=1)
    seller.tenant.save()
    seller.count(sent(2, occurredAt=april.isoformat()))
    assert revenues() == ["2", "4"]
    assert {row.plan_version_id for row in rows()} == {plan.id, newer.id}
    assert_totals_hold()


def test_prices_in_the_currency_of_the_subscription_replace_the_plans_own(seller, calls):
    version = RatePlanVersionFactory(tenant=seller.tenant, prices={calls: QUOTA})
    more = {"tenant": seller.tenant, "version": version, "unit": calls}
    UnitPriceFactory(**more, currency="EUR", terms=QUOTA | {"rate": "3"})
    UnitPriceFactory(**more, currency="JPY", terms=QUOTA | {"rate": "500"})
    type(version).objects.filter(pk=version.pk).update(status="PUBLISHED", published_at=NOW)
    subscribe(seller.tenant, "buyer", version, currency="EUR")
    subscribe(seller.tenant, "other", version, currency="GBP")
    seller.count(sent(1), sent(2) | {"customerId": "other"})
    assert sorted(revenues()) == ["2", "6"]
    assert_totals_hold()


def test_a_contract_replaces_terms_or_the_allowance_alone(seller, buyer, calls):
    agree(buyer, calls, included_free=11)
    seller.count(sent(1))
    assert revenues() == ["1"]
    assert_totals_hold()


def test_a_contract_replaces_all_terms(seller, buyer, calls):
    agree(buyer, calls, terms={"model": "PER_UNIT", "rate": "0.25"})
    seller.count(sent(1))
    assert revenues() == ["3"]
    (total,) = RunningTotal.objects.all()
    key = (total.period_id, total.plan_version_id, total.unit_id)
    assert prices_of_totals(seller.tenant.pk, [key])[key].wire["rate"] == "0.25"
    assert_totals_hold()


def test_usage_of_a_trial_is_counted_and_costs_nothing(seller, buyer):
    buyer.periods.update(kind=SubscriptionPeriod.Kind.TRIAL)
    catalog_changed(seller.tenant)
    seller.count(sent(1))
    assert revenues() == ["0"]
    assert RunningTotal.objects.get().quantity == 12
    assert_totals_hold()


@pytest.mark.parametrize(
    ("state", "occurred", "expected"),
    [
        ("ACTIVE", "2026-03-09T00:00:00Z", {"counted": 1}),
        ("ACTIVE", "2026-03-11T00:00:00Z", {"dead": 1}),
        ("ACTIVE", "2026-03-14T00:00:00Z", {"counted": 1}),
        ("PAUSED", "2026-03-09T00:00:00Z", {"counted": 1}),
    ],
)
def test_nothing_counts_between_two_periods(seller, buyer, state, occurred, expected):
    """Paused on the tenth, resumed on the thirteenth."""
    march = march_of(buyer)
    end = march.end_at
    pause, resume = MARCH + timedelta(days=9), MARCH + timedelta(days=12)
    SubscriptionPeriod.objects.filter(pk=march.pk).update(end_at=pause, whole_end_at=end)
    SubscriptionPeriod.objects.create(
        tenant=seller.tenant, subscription=buyer, start_at=resume, end_at=end, whole_start_at=MARCH
    )
    Subscription.objects.filter(pk=buyer.pk).update(state=state)
    catalog_changed(seller.tenant)
    seller.count(sent(1, occurredAt=occurred))
    assert outcomes() == expected
    assert codes() == (["SUBSCRIPTION_PAUSED"] if "dead" in expected else [])


def test_a_paused_subscription_without_another_period_counts_nothing(seller, buyer):
    SubscriptionPeriod.objects.filter(subscription=buyer, start_at__gt=MARCH).delete()
    buyer.periods.update(end_at=MARCH + timedelta(days=9), whole_end_at=MARCH + timedelta(days=31))
    seller_state = Subscription.objects.filter(pk=buyer.pk)
    seller_state.update(state=Subscription.State.PAUSED)
    catalog_changed(seller.tenant)
    seller.count(sent(1))
    seller_state.update(state=Subscription.State.ACTIVE)
    catalog_changed(seller.tenant)
    seller.count(sent(2))
    assert codes() == ["NO_SUBSCRIPTION", "SUBSCRIPTION_PAUSED"]


def test_a_segment_in_the_middle_grants_its_share_of_the_allowance(seller, buyer):
    """10 of 31 days of the period are left: 10 x 10 / 31 units are free."""
    march = march_of(buyer)
    SubscriptionPeriod.objects.filter(pk=march.pk).update(start_at=MARCH + timedelta(days=10))
    SubscriptionPeriod.objects.filter(pk=march.pk).update(
        end_at=MARCH + timedelta(days=20), whole_end_at=MARCH + timedelta(days=31)
    )
    catalog_changed(seller.tenant)
    seller.count(sent(1))
    assert revenues() == ["8.774193548387"]
    assert_totals_hold()


def test_the_first_and_the_last_period_grant_all_of_it(seller, buyer):
    march = march_of(buyer)
    start, end = MARCH + timedelta(days=10), MARCH + timedelta(days=20)
    SubscriptionPeriod.objects.filter(pk=march.pk).update(
        start_at=start, end_at=end, whole_end_at=MARCH + timedelta(days=31)
    )
    buyer.periods.exclude(pk=march.pk).delete()
    Subscription.objects.filter(pk=buyer.pk).update(start_at=start, end_at=end)
    catalog_changed(seller.tenant)
    seller.count(sent(1))
    assert revenues() == ["2"]
    assert_totals_hold()


def test_billing_is_told_the_same_terms(seller, buyer, calls, django_assert_num_queries):
    agree(buyer, calls, included_free=11)
    periods = list(buyer.periods.order_by("start_at"))
    with django_assert_num_queries(4):
        prices = prices_of_periods(seller.tenant.pk, periods)
    assert [len(found) for found in prices.values()] == [1, 1]
    (price,) = prices[periods[0].pk]
    assert price.terms.included_free == Decimal(11)
    assert price.row.unit == calls
    assert price.may_have_moved
