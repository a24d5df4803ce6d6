"""Live revenue: today, this period and its projection, beside the same points of before."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from metering.models import RatingAdjustment, RunningTotal
from metering.monitors.summing import sum_usage
from metering.selectors import revenue_kept
from metering.selectors.revenue import live_revenue
from metering.selectors.revenue_groups import GroupBy
from metering.selectors.revenue_kept import revenue_told
from tests.factories import (
    BillableUnitFactory,
    CustomerFactory,
    ProductFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
    TenantFactory,
)
from tests.metering.conftest import NOW
from tests.metering.events import event
from tests.metering.monitors.sums import used

AT = datetime(2026, 4, 11, 6, 30, tzinfo=UTC)  # a third of April has passed, and half an hour
MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def tenant(db):
    return TenantFactory()


def subscription_of(tenant, unit, terms, **fields):
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: terms}, published=True)
    return SubscriptionFactory(tenant=tenant, versions=[version], months=2, **fields)


def total(subscription, unit, quantity, revenue, **fields):
    """What April has come to."""
    plan = subscription.plans.get()
    return RunningTotal.objects.create(
        tenant_id=subscription.tenant_id,
        subscription_id=subscription.pk,
        plan_version_id=plan.version_id,
        unit_id=unit.pk,
        period_id=subscription.periods.get(start_at=APRIL).pk,
        quantity=quantity,
        event_count=1,
        position=1,
        revenue=Decimal(revenue),
        **fields,
    )


def told(tenant, by=GroupBy.TENANT, now=AT, **chosen):
    return live_revenue(tenant=tenant, now=now, by=by, **chosen).rows


def test_today_stands_beside_the_same_point_of_yesterday(tenant):
    unit = BillableUnitFactory(tenant=tenant)
    subscription = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"})
    used(subscription, unit, datetime(2026, 4, 10, tzinfo=UTC), [10] * 30 + [4], revenue="1")
    (row,) = told(tenant)
    assert row.today == 6 * 10 + 4  # with the hour under way
    assert row.yesterday == 6 * 10 + 5  # and half of the same hour
    assert row.hours[-1] == 4
    assert row.hours[:-1] == [10] * 23
    tenant.time_zone = "Asia/Tokyo"
    (row,) = told(tenant)
    assert (row.today, row.yesterday) == (15 * 10 + 4, 15 * 10 + 5 - 9 * 10)


def test_the_period_stands_beside_the_same_point_of_the_last_one(tenant):
    unit = BillableUnitFactory(tenant=tenant)
    subscription = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"})
    used(subscription, unit, MARCH, [1] * 31 * 24, revenue="1")
    total(subscription, unit, 123, "123")
    (row,) = told(tenant)
    assert (row.period, row.last_period) == (123, Decimal("246.5"))


def test_the_same_point_of_yesterday_is_by_the_clock_on_the_wall(tenant):
    """25 October has 25 hours in Berlin, 29 March has 23."""
    tenant.time_zone = "Europe/Berlin"
    unit = BillableUnitFactory(tenant=tenant)
    subscription = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"})
    for day, hours in (
        (datetime(2026, 10, 23, tzinfo=UTC), 96),
        (datetime(2026, 3, 27, tzinfo=UTC), 72),
    ):
        used(subscription, unit, day, [1] * hours, revenue="1")
    subscription.periods.all().delete()
    SubscriptionPeriodFactory(subscription=subscription, end_at=datetime(2027, 1, 1, tzinfo=UTC))
    berlin = ZoneInfo("Europe/Berlin")
    for at, today in (
        (datetime(2026, 10, 25, 23, tzinfo=berlin), 24),
        (datetime(2026, 10, 26, 23, tzinfo=berlin), 23),
        (datetime(2026, 3, 29, 12, tzinfo=berlin), 11),
    ):
        (row,) = told(tenant, now=at)
        yesterday = 24 if at.day == 26 else at.hour  # on the 26th the 25 hours' day lies behind
        assert (at, row.today - 1, row.yesterday) == (at, today, yesterday)


def test_after_a_change_of_plans_the_period_stands_beside_the_same_stretch_of_the_last(tenant):
    unit = BillableUnitFactory(tenant=tenant)
    subscription = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"})
    used(subscription, unit, MARCH, [1] * 31 * 24 + [10] * 240, revenue="1")
    assert [row.last_period for row in told(tenant)] == [Decimal("246.5")]
    april = subscription.periods.get(start_at=APRIL)
    cut, end = APRIL + timedelta(days=5), april.end_at
    subscription.periods.filter(pk=april.pk).update(end_at=cut, whole_end_at=end)
    SubscriptionPeriodFactory(
        subscription=subscription, start_at=cut, end_at=end, whole_start_at=APRIL
    )
    assert [row.last_period for row in told(tenant)] == [Decimal("126.5")]  # 6 to 11 March
    march = subscription.periods.get(start_at=MARCH)  # which had been cut as well
    half = MARCH + timedelta(days=10)
    subscription.periods.filter(pk=march.pk).update(end_at=half, whole_end_at=APRIL)
    SubscriptionPeriodFactory(
        subscription=subscription, start_at=half, end_at=APRIL, whole_start_at=MARCH
    )
    assert [row.last_period for row in told(tenant)] == [Decimal("126.5")]


@pytest.mark.parametrize(
    ("terms", "revenue", "projection", "is_bound"),
    [
        ({"model": "PER_UNIT", "rate": "0.5"}, "50", "150", False),
        ({"model": "FLAT_RATE", "amount": "99"}, "0", "0", False),
        ({"model": "INCLUDED_QUOTA", "includedFree": "150", "rate": "1"}, "0", "150", False),
        ({"model": "INCLUDED_QUOTA", "includedFree": "50", "rate": "1"}, "50", "250", False),
        (
            {
                "model": "GRADUATED",
                "tiers": [
                    {"tierEnd": "100", "unitPrice": "2"},
                    {"tierEnd": "-1", "unitPrice": "1"},
                ],
            },
            "200",
            "600",  # 400 at this pace: the next tier costs half
            True,
        ),
    ],
)
def test_the_projection_is_marked_where_tiers_make_it_a_bound(
    tenant, terms, revenue, projection, is_bound
):
    """100 units in a third of the month."""
    unit = BillableUnitFactory(tenant=tenant, aggregation="SUM")
    subscription = subscription_of(tenant, unit, terms)
    total(subscription, unit, 100, revenue)
    (row,) = told(tenant, now=APRIL + timedelta(days=10))
    assert (row.projection, row.is_upper_bound) == (Decimal(projection), is_bound)


def test_a_level_is_not_drawn_on_and_a_trial_brings_nothing(tenant):
    unit = BillableUnitFactory(tenant=tenant, aggregation="MAX")
    subscription = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"})
    total(subscription, unit, 100, "100")
    trial = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"})
    trial.periods.filter(start_at=APRIL).update(kind="TRIAL")
    total(trial, unit, 100, "0")
    (row,) = told(tenant)
    assert (row.period, row.projection) == (100, 100)


@pytest.mark.parametrize("included", [{}, {"model": "INCLUDED_QUOTA", "includedFree": "0"}])
def test_what_no_event_brought_is_no_pace(tenant, included):
    """120 units in a third of the month, of which 30 of the period before were free."""
    unit = BillableUnitFactory(tenant=tenant, aggregation="SUM")
    subscription = subscription_of(tenant, unit, {"model": "PER_UNIT", "rate": "1"} | included)
    counted = total(subscription, unit, 120, "120", rollover=Decimal(30 if included else 0))
    RatingAdjustment.objects.create(
        tenant_id=tenant.pk, running_total=counted, amount=Decimal(-30), created_at=APRIL
    )
    (row,) = told(tenant, now=APRIL + timedelta(days=10))
    assert (row.period, row.projection, row.is_upper_bound) == (90, 330, False)


def test_groups_add_up_to_the_whole(tenant):
    product = ProductFactory(tenant=tenant, name="Chat")
    inside, outside = (
        BillableUnitFactory(tenant=tenant, name="in"),
        BillableUnitFactory(tenant=tenant, name="out"),
    )
    inside.products.add(product, ProductFactory(tenant=tenant, name="Search"))
    first, second = (
        CustomerFactory(tenant=tenant, external_id=name) for name in ("first", "second")
    )
    version = RatePlanVersionFactory(
        tenant=tenant,
        prices={unit: {"model": "PER_UNIT", "rate": "1"} for unit in (inside, outside)},
        published=True,
    )
    for number, customer in enumerate((first, second), start=1):
        subscription = SubscriptionFactory(
            tenant=tenant, customer=customer, versions=[version], months=2
        )
        total(subscription, inside, 1, f"{number}")
        total(subscription, outside, 1, f"{number}0")
    subscription_of(TenantFactory(), inside, {"model": "PER_UNIT", "rate": "1"})

    def periods(by, **chosen):
        return [(row.label, row.period) for row in told(tenant, by, **chosen)]

    assert periods(GroupBy.TENANT) == [("", 33)]
    assert periods(GroupBy.CUSTOMER) == [("second", 22), ("first", 11)]
    assert periods(GroupBy.PRODUCT) == [("", 30), ("Chat", 3)]
    assert periods(GroupBy.METRIC) == [("out", 30), ("in", 3)]
    assert periods(GroupBy.START_MONTH) == [("2026-03", 33)]
    assert periods(GroupBy.TAG) == [("", 33)]
    assert sum(period for _, period in periods(GroupBy.OFFERING)) == 33
    assert periods(GroupBy.METRIC, customer_id=first.pk) == [("out", 10), ("in", 1)]


def test_of_many_customers_the_largest_are_told(tenant):
    """Each statement after the first is about these alone, and says the same of them."""
    unit = BillableUnitFactory(tenant=tenant)
    version = RatePlanVersionFactory(
        tenant=tenant, prices={unit: {"model": "PER_UNIT", "rate": "1"}}, published=True
    )
    for number in range(4):
        customer = CustomerFactory(tenant=tenant, external_id=f"c{number}")
        subscription = SubscriptionFactory(
            tenant=tenant, customer=customer, versions=[version], months=2
        )
        used(subscription, unit, MARCH, [1] * 31 * 24, revenue="1")
        used(subscription, unit, AT.replace(minute=0), [number + 1], revenue="1")
        if number:
            total(subscription, unit, number, str(number * 10))
    whole = told(tenant, GroupBy.CUSTOMER)
    assert [(row.label, row.period) for row in whole] == [
        ("c3", 30),
        ("c2", 20),
        ("c1", 10),
        ("c0", 0),
    ]
    some = live_revenue(tenant=tenant, now=AT, by=GroupBy.CUSTOMER, most=2)
    assert (some.rows, some.total) == (whole[:2], 4)
    assert [row.today for row in some.rows] == [4, 3]
    assert {row.last_period for row in whole} == {Decimal("246.5")}


def test_what_is_a_little_old_is_told_while_a_worker_looks(tenant, monkeypatch):
    asked = []
    monkeypatch.setattr(revenue_kept, "enqueue", lambda name, **said: asked.append((name, said)))

    def at(seconds):
        now = AT + timedelta(seconds=seconds)
        monkeypatch.setattr(revenue_kept.time, "time", now.timestamp)
        return revenue_told(tenant=tenant, now=now, by=GroupBy.TENANT).as_of

    assert [at(seconds) for seconds in (0, 10, 60, 61)] == [AT] * 4
    about = {"by": "tenant", "customer_id": None, "tenant_id": str(tenant.pk), "most": 1_000}
    assert asked == [("metering.take_revenue", about)]
    assert at(91) == AT + timedelta(seconds=91)
    assert at(0) == AT  # another clock


def test_currencies_are_never_added_up(tenant):
    unit = BillableUnitFactory(tenant=tenant)
    for currency in ("EUR", "USD"):
        subscription = subscription_of(
            tenant, unit, {"model": "PER_UNIT", "rate": "1"}, currency=currency
        )
        total(subscription, unit, 5, "5")
    assert [(row.currency, row.period) for row in told(tenant)] == [("USD", 5), ("EUR", 5)]


def test_what_is_drained_is_there_once_it_is_summed_up(seller):
    seller.count(event(1), event(2), event(3, metricName="tokens", quantity=2000))
    sum_usage()
    (row,) = told(seller.tenant, now=NOW)
    assert row.today == row.period == row.hours[-2] == Decimal("15.04")
    assert row.projection > 30
    assert row.is_upper_bound
