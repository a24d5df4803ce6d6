"""What an event cost is taken back with it, where cards price single events of a level."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from billing.invariants import costs, ledger
from billing.invariants.violations import Scope
from catalog.models import BillableUnit
from metering.models import RateCard, RunningTotal, UsageEvent
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, RateCardFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import event

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
PER_UNIT = {"model": "PER_UNIT", "rate": "1"}
# Model, quantity and user of each event, in the order in which they come.
EVENTS = (("small", 3, "a"), ("large", 5, "a"), ("large", 4, "b"), ("small", 9, "a"))
CARDS = {"small": 1, "large": 2}
numbers = count(1)


@pytest.fixture
def sell(seller):
    def sell(aggregation, **unit):
        number = next(numbers)
        fields = {"name": f"levels_{number}", "aggregation": aggregation, "event_field": "user"}
        made = BillableUnitFactory(tenant=seller.tenant, **fields | unit)
        for model, price in CARDS.items():
            dimension = f'{{"model":"{model}"}}'
            RateCardFactory(tenant=seller.tenant, unit=made, dimension=dimension, unit_price=price)
        version = RatePlanVersionFactory(
            tenant=seller.tenant, prices={made: PER_UNIT}, published=True
        )
        subscribe(seller.tenant, f"buyer_{number}", version)
        return {"customerId": f"buyer_{number}", "metricName": made.name}

    return sell


def sent(fields, model, quantity, user):
    number = next(numbers)
    metadata = {"model": model, "user": user}
    occurred = (MARCH + timedelta(minutes=number)).isoformat()
    more = {"quantity": quantity, "metadata": metadata, "occurredAt": occurred}
    return event(number, **fields, **more)


def take_back(seller, row):
    path = f"/api/v1/usage-events/{row.pk}/void"
    answer = operator_client(seller.tenant).post(path, {"reason": "wrong"}, format="json")
    assert answer.status_code in {200, 201}, answer.content


def found(seller):
    scope = Scope(tenant_id=seller.tenant.pk, full=True)
    return [*ledger.totals_off_their_events(scope), *costs.costs_off_their_usage(scope)]


@pytest.mark.parametrize("aggregation", ["MAX", "UNIQUE", "LATEST", "AVG"])
def test_what_stands_costs_what_it_would_have_cost_by_itself(seller, sell, aggregation):
    """Whatever is taken back, and in whatever order."""
    for gone in ((0,), (3, 1), (1, 0, 2, 3)):
        whole, left = sell(aggregation), sell(aggregation)
        seller.count(*(sent(whole, *one) for one in EVENTS))
        rows = list(UsageEvent.objects.order_by("-pk")[: len(EVENTS)])[::-1]
        for place in gone:
            take_back(seller, rows[place])
        seller.count(*(sent(left, *one) for n, one in enumerate(EVENTS) if n not in gone))
        assert cost_of(whole) == cost_of(left), gone
        assert found(seller) == []


def cost_of(fields):
    totals = RunningTotal.objects.filter(
        unit_id=BillableUnit.objects.get(name=fields["metricName"]).pk
    )
    return sum(totals.values_list("cost", flat=True))


def test_a_cost_that_differs_from_the_events_that_stand_is_found(seller, sell):
    fields = sell("MAX")
    seller.count(*(sent(fields, *one) for one in EVENTS))
    take_back(seller, UsageEvent.objects.get(position=1))
    UsageEvent.objects.filter(position=5).update(cost=2)
    RunningTotal.objects.update(cost=13)
    ((_, what),) = [(one.subject, one.found) for one in found(seller)]
    assert what == "cost 13; the events that stand cost 14"
    RateCard.objects.update(unit_price=7)  # nobody knows any more what they cost
    assert found(seller) == []


def test_by_the_catalog_a_level_costs_what_it_is(seller, sell):
    fields = sell("MAX", unit_cost="0.5")
    RateCard.objects.all().delete()
    seller.count(*(sent(fields, *one) for one in EVENTS))
    assert cost_of(fields) == Decimal("4.5")
    assert found(seller) == []
    UsageEvent.objects.filter(position=1).update(cost=1)
    RunningTotal.objects.update(cost=4)
    ((_, what),) = [(one.subject, one.found) for one in found(seller)]
    assert Decimal(what.split()[-1]) == Decimal("4.5")
