"""Changes of a subscription, from the event to the proven invoice."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aforo.tenancy.services.actors import Actor
from billing.models import Invoice
from catalog.models import Subscription, SubscriptionPeriod
from catalog.services.pauses import pause_subscription, resume_subscription
from catalog.services.periods import extend_periods
from catalog.services.plan_changes import change_offering, move_to_version
from metering.models import DeadLetter, UsageEvent
from metering.services import partitions
from tests.billing.test_crossings import move_clock
from tests.billing.test_late_usage import APRIL, MAY, assert_all_is_proven, bill, sell, things
from tests.factories import OfferingFactory, RatePlanVersionFactory
from tests.metering import conftest

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("somebody")
NOW = conftest.NOW
WHO = {"actor": ACTOR, "now": NOW}
CHEAP = {"model": "PER_UNIT", "rate": "0.02", "includedFree": "10"}
DEAR = {"model": "PER_UNIT", "rate": "0.05", "includedFree": "31"}
seller, no_wakes, fresh_process = conftest.seller, conftest.no_wakes, conftest.fresh_process


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture(autouse=True)
def months(db):
    partitions.make_around([APRIL])


@pytest.fixture
def subscription(seller):
    return sell(seller, CHEAP, months=3, fees={"base_fee": Decimal(31)})


@pytest.fixture
def dearer(seller, subscription):
    """An offering at 62 a month and 0.05 a thing."""
    unit = conftest.BillableUnitFactory._meta.model.objects.get(name="things")
    version = RatePlanVersionFactory(
        tenant=seller.tenant, prices={unit: DEAR}, base_fee=Decimal(62), published=True
    )
    return OfferingFactory(tenant=seller.tenant, rate_plans=[version.rate_plan])


def used(seller, number, quantity, day):
    seller.count(things(number, quantity, occurredAt=f"2026-03-{day:02}T12:00:00Z"))


def lines(invoice):
    return [(line.description, str(line.amount)) for line in invoice.lines.order_by("number")]


def totals(invoices):
    return [str(invoice.total) for invoice in sorted(invoices, key=lambda one: one.period_start_at)]


def test_an_upgrade_prices_each_part_by_its_own_plan(seller, subscription, dearer, queued):
    used(seller, 1, 20, 10)
    change_offering(subscription=subscription, offering=dearer, **WHO)
    used(seller, 2, 40, 14)
    used(seller, 3, 40, 15)
    invoices = bill(seller.tenant, APRIL)
    # 14.50 for 14.5 of 31 days and 60 things above 10 x 14.5 / 31, at 0.02: 1.11;
    # 33.00 for 16.5 of 31 days and 40 things above 31 x 16.5 / 31, at 0.05: 1.18
    assert totals(invoices) == ["15.6100", "34.1800"]
    assert_all_is_proven(seller)


def test_an_upgrade_without_proration_charges_two_whole_fees(seller, subscription, dearer, queued):
    change_offering(subscription=subscription, offering=dearer, prorate=False, **WHO)
    assert totals(bill(seller.tenant, APRIL)) == ["31.0000", "62.0000"]
    assert_all_is_proven(seller)


def test_a_change_at_the_end_of_the_period_prices_the_next_one(
    seller, subscription, dearer, queued
):
    used(seller, 1, 20, 10)
    change_offering(subscription=subscription, offering=dearer, when="PERIOD_END", **WHO)
    used(seller, 2, 20, 15)
    assert totals(bill(seller.tenant, MAY)) == ["31.6000", "62.0000"]
    assert_all_is_proven(seller)


def test_a_published_version_prices_nobody_until_they_are_moved(seller, subscription, queued):
    pinned = subscription.plans.get().version
    unit = pinned.prices.get().unit
    newer = RatePlanVersionFactory(
        tenant=seller.tenant,
        rate_plan=pinned.rate_plan,
        number=2,
        prices={unit: DEAR},
        published=True,
    )
    conftest.catalog_changed(seller.tenant)
    used(seller, 1, 20, 10)
    assert UsageEvent.objects.get().plan_version_id == pinned.pk
    move_to_version(subscription=subscription, version=newer, when="PERIOD_END", **WHO)
    (march, april) = sorted(bill(seller.tenant, MAY), key=lambda one: one.period_start_at)
    assert (str(march.total), str(april.total)) == ("31.2000", "0.0000")
    assert_all_is_proven(seller)


def test_nothing_is_counted_or_owed_while_it_is_paused(seller, subscription, queued):
    used(seller, 1, 20, 15)  # at noon, just when it is paused
    pause_subscription(subscription=subscription, **WHO)
    conftest.catalog_changed(seller.tenant)
    resumed_at = utc(2026, 3, 21, 12)
    resume_subscription(subscription=subscription, actor=ACTOR, now=resumed_at)
    move_clock(seller, resumed_at)
    used(seller, 2, 20, 18)
    assert DeadLetter.objects.get().code == "SUBSCRIPTION_PAUSED"
    invoices = bill(seller.tenant, APRIL)
    # 14.5 days and 20 things above 10 x 14.5 / 31; 10.5 days
    assert totals(invoices) == ["14.8100", "10.5000"]
    assert_all_is_proven(seller)


def test_usage_of_a_trial_is_counted_and_free(seller, subscription, queued):
    Subscription.objects.update(trial_end_at=utc(2026, 3, 11), state="TRIALING")
    SubscriptionPeriod.objects.all().delete()
    extend_periods(subscription=subscription, until=MAY)
    conftest.catalog_changed(seller.tenant)
    used(seller, 1, 100, 10)
    used(seller, 2, 20, 11)
    event = UsageEvent.objects.order_by("occurred_at").first()
    assert (event.revenue, event.quantity) == (0, 100)
    (march,) = bill(seller.tenant, APRIL)
    assert march.period_start_at == utc(2026, 3, 11)
    assert str(march.total) == "21.2000"
    assert not Invoice.objects.filter(period__kind="TRIAL").exists()
    assert_all_is_proven(seller)
