"""Events are taken back and amended under every aggregation, dimension and kept part."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from aforo.money import plain
from billing.invariants import ledger
from billing.invariants.violations import Scope
from metering.models import RunningTotal, UsageEvent
from metering.recount import recount
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import event

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
numbers = count(1)
GRADUATED = {
    "model": "GRADUATED",
    "tiers": [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.1"}],
}
MATRIX = {
    "model": "MATRIX",
    "dimensions": ["team"],
    "cells": [{"values": {"team": "a"}, "rate": "0.3"}],
    "defaultRate": "0.1",
}
DYNAMIC = {"model": "DYNAMIC", "amountField": "fee", "markupPercent": "10"}
PER_TRANSACTION = {"model": "PERCENTAGE", "ratePercent": "10", "minPerTransaction": "2"}


@pytest.fixture
def sell(seller):
    def sell(terms, **unit):
        made = BillableUnitFactory(tenant=seller.tenant, name="levels", **unit)
        version = RatePlanVersionFactory(tenant=seller.tenant, prices={made: terms}, published=True)
        subscribe(seller.tenant, "buyer", version)

    return sell


def sent(quantity, **metadata):
    number = next(numbers)
    return event(
        number,
        customerId="buyer",
        metricName="levels",
        quantity=quantity,
        occurredAt=(MARCH + timedelta(hours=number)).isoformat(),
        metadata={"team": "a", "fee": "2.5"} | metadata,
    )


def correct(seller, row, kind, **changes):
    path = f"/api/v1/usage-events/{row.pk}/{kind}"
    body = {"reason": "it was wrong"} | changes
    answer = operator_client(seller.tenant).post(path, body, format="json")
    assert answer.status_code in {200, 201}, answer.content


def assert_all_holds(seller):
    found = [one.differences for one in recount(tenant=seller.tenant, month=MARCH)]
    assert [one for one in found if one] == []
    scope = Scope(tenant_id=seller.tenant.pk, full=True)
    assert list(ledger.totals_off_their_events(scope)) == []
    assert list(ledger.quantities_off_all_events(scope)) == []
    assert list(ledger.totals_off_their_price(scope)) == []


def quantities():
    return sorted(plain(total.quantity) for total in RunningTotal.objects.all())


@pytest.mark.parametrize(
    ("aggregation", "after"),
    [("LATEST", "7"), ("AVG", "5"), ("PERCENTILE_95", "7"), ("SUM", "10"), ("MAX", "7")],
)
def test_taking_the_last_event_back_leaves_what_the_others_make(seller, sell, aggregation, after):
    sell(GRADUATED, aggregation=aggregation, unit_cost="0.5")
    seller.count(sent(3), sent(7), sent(20))
    correct(seller, UsageEvent.objects.get(quantity=20), "void")
    assert quantities() == [after]
    assert_all_holds(seller)


@pytest.mark.parametrize("aggregation", ["LATEST", "AVG", "PERCENTILE_95", "WEIGHTED_SUM"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_amended_events_move_the_level_as_if_they_had_come_so(seller, sell, aggregation, number):
    sell(GRADUATED, aggregation=aggregation)
    seller.count(sent(3), sent(7), sent(20))
    row = UsageEvent.objects.order_by("position")[number]
    correct(seller, row, "amend", quantity=11)
    assert_all_holds(seller)
    correct(seller, UsageEvent.objects.exclude(pk=row.pk).order_by("position")[0], "void")
    assert_all_holds(seller)


@pytest.mark.parametrize("terms", [MATRIX, DYNAMIC, PER_TRANSACTION], ids=lambda one: one["model"])
@pytest.mark.parametrize("aggregation", ["COUNT", "SUM"])
def test_a_part_that_is_taken_back_leaves_the_others(seller, sell, terms, aggregation):
    sell(terms, aggregation=aggregation)
    seller.count(sent(30))
    (before,) = RunningTotal.objects.all()
    seller.count(sent(5, team="b", fee=7), sent(12))
    for quantity in (5, 12):
        correct(seller, UsageEvent.objects.get(quantity=quantity), "void")
        assert_all_holds(seller)
    (after,) = RunningTotal.objects.all()
    assert (after.revenue, after.quantity) == (before.revenue, before.quantity)
    assert after.state == before.state


def test_an_amended_event_moves_to_the_dimension_that_it_names_now(seller, sell):
    sell(GRADUATED | {"groupBy": ["team"]}, aggregation="SUM")
    seller.count(sent(3), sent(7), sent(20, team="b"))
    row = UsageEvent.objects.get(quantity=7)
    correct(seller, row, "amend", metadata={"team": "b"})
    assert quantities() == ["27", "3"]
    assert_all_holds(seller)
