"""Storms: events out of order, repeated, in any batches, come to what a calm month comes to."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invariants import broken_truths
from billing.models import InvoiceLine
from billing.services.invoices import bill_periods
from catalog.models import SubscriptionPeriod
from metering.models import RunningTotal
from metering.selectors.accounts import account_of
from metering.services import partitions
from tests.billing.build import APRIL
from tests.factories import BillableUnitFactory, BillRunFactory, RatePlanVersionFactory
from tests.metering import conftest
from tests.metering.conftest import subscribe
from tests.metering.events import event
from tests.metering.ledger import assert_totals_hold

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
UNITS = {
    "sums": {"aggregation": "SUM", "unit_cost": "0.1"},
    "counts": {"aggregation": "COUNT", "source_metric": "sums"},
    "peaks": {"aggregation": "MAX", "source_metric": "sums"},
    "users": {"aggregation": "UNIQUE", "event_field": "user", "source_metric": "sums"},
}
TIERS = [{"tierEnd": 5, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.3"}]
TERMS = {
    "sums": {"model": "GRADUATED", "tiers": TIERS},
    "counts": {"model": "VOLUME_TIERED", "tiers": TIERS},
    "peaks": {"model": "STAIRSTEP", "steps": [{"tierEnd": 9, "price": "4"}], "overageRate": "0.5"},
    "users": {"model": "INCLUDED_QUOTA", "includedFree": 2, "rate": "3", "ovBehavior": "CHARGE"},
}
seller, no_wakes, fresh_process = conftest.seller, conftest.no_wakes, conftest.fresh_process
names = count(1)

# Clocks of senders: up to 5 minutes ahead, and as late as the month is old.
skews = st.integers(min_value=-14 * 86_400, max_value=299)
usage = st.tuples(st.decimals(min_value=0, max_value=50, places=3), st.sampled_from("abcd"), skews)


@st.composite
def storms(draw):
    """A month of usage, and the same events shuffled, with repeats, cut into batches."""
    calm = draw(st.lists(usage, min_size=1, max_size=12))
    repeats = draw(st.lists(st.sampled_from(range(len(calm))), max_size=8))
    order = draw(st.permutations([*range(len(calm)), *repeats]))
    cuts = draw(st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=10))
    return calm, order, cuts


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(storms())
def test_a_storm_comes_to_what_a_calm_month_comes_to(seller, storm):
    partitions.make_around([APRIL])
    calm, order, cuts = storm
    buyers = [_buyer(seller, f"{kind}-{next(names)}") for kind in ("calm", "storm")]
    seller.count(*(_event(buyers[0], n, *one) for n, one in enumerate(calm)))
    rest = [_event(buyers[1], n, *calm[n]) for n in order]
    for size in (*cuts, len(rest)):
        batch, rest = rest[:size], rest[size:]
        if batch:
            seller.send(*batch)
        if size % 2:  # else two requests are drained together
            seller.drain(limit=size)
    seller.drain()
    calm_totals, storm_totals = map(_totals, buyers)
    assert storm_totals == calm_totals
    assert_totals_hold()
    calm_lines, storm_lines = (_billed(seller, buyer) for buyer in buyers)
    assert storm_lines == calm_lines
    account = account_of(seller.tenant.id)
    assert account.balances
    assert not account.dead
    assert broken_truths(tenant_id=seller.tenant.id, full=True) == {}


def _buyer(seller, name):
    """A customer with units of its own, so that neither sees the other's."""
    units = {}
    for unit, fields in UNITS.items():
        source = {"source_metric": f"{name}-sums"} if "source_metric" in fields else {}
        units[unit] = BillableUnitFactory(
            tenant=seller.tenant, name=f"{name}-{unit}", **fields | source
        )
    version = RatePlanVersionFactory(
        tenant=seller.tenant,
        prices={units[unit]: terms for unit, terms in TERMS.items()},
        published=True,
    )
    return subscribe(seller.tenant, name, version, months=1)


def _event(subscription, number, quantity, user, skew):
    name = subscription.customer.external_id
    return event(
        customerId=name,
        metricName=f"{name}-sums",
        quantity=str(quantity),
        metadata={"user": user},
        occurredAt=(NOW + timedelta(seconds=skew)).isoformat(),
        idempotencyKey=f"{name}-{number}",
    )


def _totals(subscription):
    """By unit: quantity, events, revenue and cost, all of which are sums."""
    totals = RunningTotal.objects.filter(subscription_id=subscription.id).order_by("unit_id")
    return [(one.quantity, one.event_count, one.revenue, one.cost) for one in totals]


def _billed(seller, subscription):
    period = SubscriptionPeriod.objects.get(subscription=subscription)
    run = BillRunFactory(tenant=seller.tenant, auto_finalize=True)
    assert bill_periods(run=run, period_ids=[period.id], now=APRIL) == 1
    lines = InvoiceLine.objects.filter(invoice__period=period).order_by("unit_id")
    return [(line.quantity, line.exact_amount, line.amount) for line in lines]
