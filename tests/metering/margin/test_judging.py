"""Whom guards hold, and by which of the currencies that a customer pays or has paid in."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from metering.margin.arithmetic import Level, Thresholds
from metering.margin.judging import Known, Rule, judge
from metering.margin.rehearsal import rehearse
from metering.margin.slices import current_slices
from metering.models import RunningTotal
from tests.factories import (
    BillableUnitFactory,
    CostEventFactory,
    CustomerFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
)
from tests.metering.conftest import NOW, catalog_changed

JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
NEW_YEAR, DECEMBER = datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 12, 20, tzinfo=UTC)
ALL = Rule(uuid4(), None, "ALL", Thresholds())


def buy(seller, customer, fee, currency, *, end, prices):
    version = RatePlanVersionFactory(
        tenant=seller.tenant, base_fee=Decimal(fee), prices=prices, published=True
    )
    subscription = SubscriptionFactory(
        tenant=seller.tenant,
        customer=customer,
        versions=[version],
        start_at=JANUARY,
        currency=currency,
    )
    SubscriptionPeriodFactory(subscription=subscription, start_at=JANUARY, end_at=end)
    catalog_changed(seller.tenant)
    seller.tenant.refresh_from_db()
    return subscription


@pytest.fixture
def left(seller):
    """What a payer of 12,000 euros a year was subscribed to in dollars, in January alone."""

    def left(fee=10, running_fee=12_000, prices=()):
        customer = CustomerFactory(tenant=seller.tenant, external_id="cust_eur")
        buy(seller, customer, running_fee, "EUR", end=NEW_YEAR, prices={})
        return buy(seller, customer, fee, "USD", end=FEBRUARY, prices=dict(prices))

    return left


def spend(ended, amount, month=3):
    CostEventFactory(
        tenant=ended.tenant,
        customer_id=ended.customer_id,
        amount=Decimal(amount),
        currency="USD",
        occurred_at=datetime(2026, month, 10, tzinfo=UTC),
    )


def worst(seller, ended, rule=ALL, now=NOW):
    """What a rule says of the payer: by the margins now, and in a rehearsal's last day."""
    known = Known(current_slices(seller.tenant, now=now).rows, {})
    one = judge([rule], known)[rule.guard_id, ended.customer_id]
    rehearsed = rehearse(seller.tenant, rule=rule, tags={}, now=now)
    levels = {one.customer: one.judged.level for one in rehearsed.customers}
    assert levels.get("cust_eur", Level.NONE) == one.level
    return one.currency, one.level


def test_a_currency_that_a_customer_pays_in_no_more_blocks_nobody_who_pays(seller, left):
    ended = left()
    spend(ended, 11)
    assert worst(seller, ended) == ("USD", Level.L1_ALERT)
    assert worst(seller, ended, now=DECEMBER) == ("USD", Level.L1_ALERT)


def test_what_an_ended_subscription_used_blocks_nobody_who_pays(seller, left):
    gone = BillableUnitFactory(tenant=seller.tenant, name="gone")
    ended = left(fee=0, prices={gone: {"model": "PER_UNIT", "rate": "1"}})
    RunningTotal.objects.create(
        tenant_id=seller.tenant.pk,
        subscription_id=ended.pk,
        plan_version_id=ended.plans.get().version_id,
        unit_id=gone.pk,
        period_id=ended.periods.get().pk,
        quantity=1,
        event_count=1,
        position=1,
        revenue=Decimal(1),
        cost=Decimal(20),
    )
    assert worst(seller, ended) == ("USD", Level.L1_ALERT)
    of_the_unit = Rule(uuid4(), gone.pk, "ALL", Thresholds())
    assert worst(seller, ended, rule=of_the_unit) == ("USD", Level.L1_ALERT)


def test_who_pays_nothing_in_what_runs_is_blocked_by_what_is_over(seller, left):
    ended = left(running_fee=0)
    spend(ended, 11)
    assert worst(seller, ended) == ("USD", Level.L3_BLOCK)


def test_a_cost_brings_nobody_back_to_a_plan_that_was_left(seller, left):
    ended = left()
    spend(ended, 12, month=1)
    plan_id = ended.plans.get().version.rate_plan_id
    known = Known(current_slices(seller.tenant, now=NOW).rows, {})
    assert plan_id not in known.plans[ended.customer_id]
    on_it = Rule(uuid4(), None, "PLAN", Thresholds(), plan_id=plan_id)
    assert judge([on_it], known) == {}
    days = rehearse(seller.tenant, rule=on_it, tags={}, now=NOW).days
    assert {one.judged for one in days[-14:]} == {0}
