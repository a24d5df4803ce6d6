"""Margins of running periods: exact, from totals and reported costs, by whatever is asked."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.money import plain
from catalog.models import BillableUnit, Customer, RatePlanVersion
from metering.margin.arithmetic import Thresholds
from metering.margin.judging import Known, Rule
from metering.margin.rehearsal import rehearse
from metering.margin.slices import current_slices, used_in
from metering.margin.view import GroupBy, margins
from metering.models import CustomerTag, RatingAdjustment, RunningTotal
from tests.clients import operator_client
from tests.factories import (
    BillableUnitFactory,
    ContractFactory,
    CostEventFactory,
    ProductFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
    TenantFactory,
)
from tests.metering.conftest import NOW, catalog_changed, subscribe
from tests.metering.events import event

CALL = {"model": "PER_UNIT", "rate": "0.02"}


def spend(seller, amount, *, customer="cust_1", **fields):
    row = Customer.objects.get(tenant=seller.tenant, external_id=customer)
    return CostEventFactory(
        tenant=seller.tenant, customer_id=row.pk, amount=Decimal(amount), **fields
    )


def told(seller, by=GroupBy.TENANT):
    seller.tenant.refresh_from_db()
    rows = margins(seller.tenant, by=by, now=NOW).rows
    return {(row.label, row.currency): (plain(row.margin.revenue), row.margin.cost) for row in rows}


def figures(seller):
    seller.tenant.refresh_from_db()
    rows = current_slices(seller.tenant, now=NOW).rows
    whole = sum((one.margin for one in rows[1:]), rows[0].margin)
    return whole.revenue, whole.cost


@pytest.fixture
def plan(seller):
    """Another plan with money that is due whatever the usage; buyers of it from a day of March."""
    calls = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    seats = BillableUnitFactory(tenant=seller.tenant, name="seats", aggregation="MAX")

    def plan(start="2026-03-01", customer="cust_2", prices=None, **fields):
        version = RatePlanVersionFactory(
            tenant=seller.tenant,
            prices=prices or {calls: CALL, seats: {"model": "FLAT_RATE", "flatRate": "9"}},
            **fields,
        )
        version.status, version.published_at = "PUBLISHED", NOW
        version.save()
        at = datetime.fromisoformat(start).replace(tzinfo=UTC)
        return subscribe(seller.tenant, customer, version, start_at=at)

    return plan


def test_usage_brings_in_its_marginal_revenue_and_costs_its_units(seller):
    seller.count(*(event(n) for n in range(30)))
    assert figures(seller) == (Decimal("0.6"), Decimal("0.03"))
    spend(seller, "0.17")
    spend(seller, "5", occurred_at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    assert figures(seller) == (Decimal("0.6"), Decimal("0.2"))


def test_fees_and_flat_rates_count_from_the_first_moment_and_are_prorated(seller, plan):
    plan(base_fee="31")
    assert figures(seller) == (Decimal(40), 0)
    plan("2026-03-15", customer="cust_3", base_fee="31")  # 17 of 31 days
    assert figures(seller) == (40 + Decimal(17) + Decimal("4.935483870968"), 0)


def test_a_promised_minimum_is_the_least_that_a_period_brings_in(seller, plan):
    plan(minimum_spend="100", base_fee="20")
    assert figures(seller)[0] == 100
    seller.count(*(event(n, customerId="cust_2") for n in range(10)))
    assert figures(seller)[0] == 100
    by_metric = told(seller, GroupBy.METRIC)
    assert sum(Decimal(revenue) for revenue, _ in by_metric.values()) == 100


def test_the_minimum_of_a_contract_stands_for_those_of_the_plans(seller, plan):
    subscription = plan(minimum_spend="100", base_fee="20")
    contract = ContractFactory(
        tenant=seller.tenant,
        customer=subscription.customer,
        phases=[{"minimum_spend": Decimal(250)}],
        agreed=True,
    )
    subscription.periods.update(contract_phase=contract.phases.get())
    catalog_changed(seller.tenant)
    assert figures(seller)[0] == 250


def test_a_trial_brings_in_nothing_and_costs_what_it_costs(seller, plan):
    subscription = plan(base_fee="20", minimum_spend="50")
    subscription.periods.update(kind="TRIAL")
    catalog_changed(seller.tenant)
    seller.count(event(1, customerId="cust_2"))
    assert figures(seller) == (0, Decimal("0.001"))


def test_margins_are_told_by_customer_product_metric_and_cohort(seller, plan):
    plan(base_fee="31")
    first, second = (ProductFactory(tenant=seller.tenant, name=name) for name in ("API", "AI"))
    first.billable_units.set(BillableUnit.objects.filter(name__in=["calls", "tokens"]))
    second.billable_units.set(BillableUnit.objects.filter(name="calls"))
    CustomerTag.objects.create(
        tenant=seller.tenant,
        customer=Customer.objects.get(external_id="cust_2"),
        tag="pilot",
        created_at=NOW,
    )
    seller.count(
        event(1), event(2, customerId="cust_2"), event(3, metricName="tokens", quantity=100)
    )
    spend(seller, "3", metric="tokens")
    spend(seller, "2", customer="cust_2")
    assert told(seller, GroupBy.CUSTOMER) == {
        ("cust_1", "USD"): ("1.02", Decimal("3.001")),
        ("cust_2", "USD"): ("40.02", Decimal("2.001")),
    }
    assert told(seller, GroupBy.METRIC) == {
        ("calls", "USD"): ("15.54", Decimal("0.002")),
        ("tokens", "USD"): ("1", Decimal(3)),
        ("seats", "USD"): ("24.5", 0),
        ("", "USD"): ("0", Decimal(2)),
    }
    assert told(seller, GroupBy.PRODUCT) == {
        ("API", "USD"): ("8.77", Decimal("3.001")),
        ("AI", "USD"): ("7.77", Decimal("0.001")),
        ("", "USD"): ("24.5", Decimal(2)),
    }
    assert told(seller, GroupBy.TAG) == {
        ("pilot", "USD"): ("40.02", Decimal("2.001")),
        ("", "USD"): ("1.02", Decimal("3.001")),
    }
    assert told(seller, GroupBy.START_MONTH) == {("2026-03", "USD"): ("41.04", Decimal("5.002"))}
    assert len(told(seller, GroupBy.PLAN)) == 2
    assert told(seller) == {("", "USD"): ("41.04", Decimal("5.002"))}


def test_a_cost_in_a_currency_nobody_pays_in_has_no_revenue_and_is_never_added_up(seller):
    spend(seller, "3", currency="EUR", metric="calls")
    client = operator_client(seller.tenant)
    told = client.get("/api/v1/margin").json()
    assert told["unmatchedCosts"] == [{"currency": "EUR", "amount": "3"}]
    assert told["totals"] == [
        {"currency": "EUR", "revenue": "0", "cost": "3", "profit": "-3", "percent": None},
        {"currency": "USD", "revenue": "0", "cost": "0", "profit": "0", "percent": None},
    ]
    by_metric = client.get("/api/v1/margin?groupBy=metric&currency=EUR").json()["rows"]
    assert [(row["label"], row["cost"]) for row in by_metric] == [("calls", "3")]


def test_the_number_of_statements_does_not_grow_with_customers(seller):
    def statements():
        seller.tenant.refresh_from_db()
        with CaptureQueriesContext(connection) as captured:
            current_slices(seller.tenant, now=NOW)
        return len(captured)

    before = statements()
    version = RatePlanVersion.objects.get(tenant=seller.tenant)
    for number in range(5):
        subscribe(seller.tenant, f"more_{number}", version)
    assert statements() == before
    assert statements() <= 5


def test_the_api_filters_and_refuses(seller):
    client = operator_client(seller.tenant)
    seller.count(event(1), event(2, metricName="tokens", quantity=100))
    told = client.get("/api/v1/margin?groupBy=metric&customerId=cust_1&metricName=calls").json()
    assert [(row["label"], row["revenue"], row["cost"]) for row in told["rows"]] == [
        ("calls", "0.02", "0.001")
    ]
    assert (told["groupBy"], told["totalRows"]) == ("metric", 1)
    assert client.get("/api/v1/margin?groupBy=colour").status_code == 400
    assert client.get("/api/v1/margin?planId=x").status_code == 400
    assert client.get("/api/v1/margin?customerId=nobody").status_code == 404
    other = operator_client(TenantFactory())
    assert other.get("/api/v1/margin?customerId=cust_1").status_code == 404
    assert other.get("/api/v1/margin").json()["rows"] == []


def test_what_came_since_the_longest_period_began_counts_on_both_sides(seller, plan):
    """Costs count since then, and so does what other periods have brought in since then."""
    monthly = plan("2026-01-01", base_fee="31")  # 40 with its seats
    SubscriptionPeriodFactory(subscription=monthly)  # beside January and February
    catalog_changed(seller.tenant)
    assert figures(seller) == (Decimal(40), 0)
    ended = plan("2026-02-01", customer="cust_3", base_fee="8")
    ended.periods.filter(end_at__gt=datetime(2026, 3, 1, tzinfo=UTC)).delete()
    type(ended).objects.filter(pk=ended.pk).update(customer=monthly.customer)
    middle = datetime(2026, 2, 15, tzinfo=UTC)
    long = SubscriptionFactory(
        tenant=seller.tenant,
        customer=monthly.customer,
        versions=[
            RatePlanVersionFactory(
                tenant=seller.tenant, base_fee=Decimal(7), prices={}, published=True
            )
        ],
        start_at=middle,
    )
    SubscriptionPeriodFactory(
        subscription=long, start_at=middle, end_at=datetime(2026, 5, 15, tzinfo=UTC)
    )
    catalog_changed(seller.tenant)
    spend(seller, "60", customer="cust_2", occurred_at=datetime(2026, 2, 20, tzinfo=UTC))
    spend(seller, "9", customer="cust_2", occurred_at=datetime(2026, 2, 14, tzinfo=UTC))
    # March, half of February under either plan, and the long one
    assert figures(seller) == (Decimal(40) + 20 + Decimal("8.5") + 7, Decimal(60))
    known = Known(current_slices(seller.tenant, now=NOW).rows, {})
    running = {monthly.plans.get().version.rate_plan_id, long.plans.get().version.rate_plan_id}
    assert known.plans[monthly.customer_id] == running
    rule = Rule(uuid4(), None, "ALL", Thresholds())
    today = rehearse(seller.tenant, rule=rule, tags={}, now=NOW).days[-1]
    assert (today.judged, today.warned + today.throttled + today.blocked) == (2, 0)


def test_an_adjustment_of_a_total_that_is_new_is_counted_with_it(seller):
    seller.count(event(1))
    total = RunningTotal.objects.get()
    RatingAdjustment.objects.create(
        tenant_id=seller.tenant.pk, running_total=total, amount=Decimal("0.5"), created_at=NOW
    )
    with CaptureQueriesContext(connection) as captured:
        (used,) = used_in([total.period_id]).values()
    assert (used.revenue, used.cost) == (Decimal("0.52"), Decimal("0.001"))
    assert len(captured) == 1  # of two, the second might know totals that the first does not


def test_the_month_of_a_start_is_that_of_the_subscriptions_zone(seller):
    version = RatePlanVersion.objects.get(tenant=seller.tenant)
    start = datetime(2026, 2, 28, 23, tzinfo=UTC)  # 1 March in Berlin
    subscribe(seller.tenant, "cust_2", version, start_at=start, time_zone="Europe/Berlin")
    known = Known(current_slices(seller.tenant, now=NOW).rows, {})
    assert list(known.months.values()) == [{"2026-03"}, {"2026-03"}]
    assert {label for label, _ in told(seller, GroupBy.START_MONTH)} == {"2026-03"}
