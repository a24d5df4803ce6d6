"""Every aggregation, dimension totals and kept parts, from the door to the row."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.money import plain
from catalog.models import Subscription
from metering.models import RunningTotal, UsageEvent
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import codes, event, rows
from tests.metering.ledger import assert_totals_hold

numbers = count(1)
often = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PER_UNIT = {"model": "PER_UNIT", "rate": "0.5"}
TIERS = [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.1"}]
GRADUATED = {"model": "GRADUATED", "tiers": TIERS}
MATRIX = {
    "model": "MATRIX",
    "dimensions": ["model", "region"],
    "cells": [
        {"values": {"model": "gpt", "region": "eu"}, "rate": "0.3"},
        {"values": {"model": "gpt", "region": "*"}, "rate": "0.2"},
    ],
    "defaultRate": "0.1",
}
DYNAMIC = {"model": "DYNAMIC", "amountField": "fee", "markupPercent": "10"}


@pytest.fixture
def sell(seller):
    """A unit with these terms, and a customer subscribed to it; fields of an event for both."""

    def sell(terms, **unit):
        number = next(numbers)
        made = BillableUnitFactory(tenant=seller.tenant, name=f"unit_{number}", **unit)
        version = RatePlanVersionFactory(tenant=seller.tenant, prices={made: terms}, published=True)
        subscribe(seller.tenant, f"buyer_{number}", version)
        return {"customerId": f"buyer_{number}", "metricName": made.name}

    return sell


def at(seconds):
    return (NOW - timedelta(days=10) + timedelta(seconds=seconds)).isoformat()


def totals_of(fields):
    subscription = Subscription.objects.get(customer__external_id=fields["customerId"])
    totals = RunningTotal.objects.filter(subscription_id=subscription.id)
    return {total.dimension: total for total in totals}


def made(fields, quantity, *, second=0, **metadata):
    number = next(numbers)
    return event(
        number, **fields, quantity=plain(quantity), occurredAt=at(second), metadata=metadata
    )


# --- aggregations ---------------------------------------------------------------------------


@pytest.mark.parametrize("aggregation", ["LATEST", "AVG", "PERCENTILE_95", "WEIGHTED_SUM"])
@often
@given(data=st.data())
def test_quantities_follow_the_events_whatever_their_order(seller, sell, aggregation, data):
    fields = sell(GRADUATED, aggregation=aggregation, unit_cost="0.25")
    found = st.tuples(st.integers(0, 50), st.decimals(0, 99, places=2))
    events = data.draw(st.lists(found, min_size=1, max_size=8))
    cut = data.draw(st.integers(0, 8))
    for batch in (events[:cut], events[cut:]):
        if batch:
            seller.count(*(made(fields, size, second=second) for second, size in batch))
    assert_totals_hold()


def test_the_latest_event_is_the_level_whenever_it_comes(seller, sell):
    fields = sell(PER_UNIT, aggregation="LATEST")
    for second, size in ((5, 7), (3, 100), (9, 2)):
        seller.count(made(fields, size, second=second))
    assert totals_of(fields)[""].quantity == 2
    assert [plain(row.revenue) for row in rows()] == ["3.5", "0", "-2.5"]
    assert_totals_hold()


def test_averages_move_the_price_by_what_each_event_changes(seller, sell):
    fields = sell(PER_UNIT, aggregation="AVG")
    seller.count(*(made(fields, size) for size in (1, 1, 2)))
    assert totals_of(fields)[""].quantity == Decimal("1.333333333333")
    assert [plain(row.revenue) for row in rows()] == ["0.5", "0", "0.1666666666665"]


# --- dimensions -----------------------------------------------------------------------------


def test_each_value_of_a_dimension_has_a_total_and_tiers_of_its_own(seller, sell):
    terms = GRADUATED | {"dimensionKey": "tool", "dimensionPricing": {"search": "2"}}
    fields = sell(terms, aggregation="SUM")
    seller.count(made(fields, 12, tool="search"), made(fields, 12, tool="chat"), made(fields, 3))
    seller.count(made(fields, 1, tool="search"))
    totals = totals_of(fields)
    assert {name: plain(one.revenue) for name, one in totals.items()} == {
        '{"tool":"search"}': "20.6",
        '{"tool":"chat"}': "10.2",
        '{"tool":""}': "3",
    }
    assert_totals_hold()


@often
@given(
    events=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["x", ""]), st.integers(0, 30)),
        min_size=1,
        max_size=12,
    ),
    order=st.randoms(),
)
def test_dimension_totals_do_not_depend_on_the_order(seller, sell, events, order):
    terms = GRADUATED | {"groupBy": ["region", "tool"]}
    found = []
    for shuffled in (False, True):
        fields = sell(terms, aggregation="SUM")
        if shuffled:
            order.shuffle(events)
        sent = [made(fields, size, tool=tool, region=region) for tool, region, size in events]
        seller.count(*sent)
        found.append({key: (one.quantity, one.revenue) for key, one in totals_of(fields).items()})
    assert found[0] == found[1]
    assert_totals_hold()


def test_a_value_of_any_length_is_one_dimension(seller, sell):
    fields = sell(PER_UNIT | {"groupBy": ["prompt"]}, aggregation="COUNT")
    seller.count(made(fields, 1, prompt="\U0001f600" * 4_000), made(fields, 1, prompt="\U0001f600"))
    assert len(totals_of(fields)) == 2
    assert_totals_hold()


# --- parts ----------------------------------------------------------------------------------


def test_each_event_is_priced_at_its_own_cell(seller, sell):
    fields = sell(MATRIX, aggregation="SUM")
    seller.count(made(fields, 10, model="gpt", region="eu"), made(fields, 10, model="gpt"))
    seller.count(made(fields, 10), made(fields, 5, model="gpt", region="eu"))
    assert [plain(row.revenue) for row in rows()] == ["3", "2", "1", "1.5"]
    assert totals_of(fields)[""].state["parts"]
    assert_totals_hold()


def test_each_event_brings_its_own_amount(seller, sell):
    fields = sell(DYNAMIC, aggregation="COUNT")
    seller.count(made(fields, 1, fee="2.50"), made(fields, 1, fee=1))
    assert [plain(row.revenue) for row in rows()] == ["2.75", "1.1"]
    assert_totals_hold()


@pytest.mark.parametrize(
    ("metadata", "code"),
    [({}, "MISSING_FIELD"), ({"fee": "a lot"}, "INVALID_EVENT"), ({"fee": True}, "INVALID_EVENT")],
)
def test_an_event_without_its_amount_is_refused_by_name(seller, sell, metadata, code):
    fields = sell(DYNAMIC, aggregation="COUNT")
    seller.count(made(fields, 1, **metadata))
    assert codes() == [code]
    assert not UsageEvent.objects.exists()


@often
@given(
    events=st.lists(
        st.tuples(st.sampled_from(["gpt", "other"]), st.sampled_from("ef"), st.integers(0, 30)),
        min_size=1,
        max_size=10,
    ),
    order=st.randoms(),
)
def test_cells_do_not_depend_on_the_order(seller, sell, events, order):
    found = []
    for shuffled in (False, True):
        fields = sell(MATRIX, aggregation="SUM")
        if shuffled:
            order.shuffle(events)
        sent = [made(fields, size, model=model, region=region) for model, region, size in events]
        seller.count(*sent)
        total = totals_of(fields)[""]
        found.append((total.quantity, total.revenue, sorted(map(str, total.state["parts"]))))
    assert found[0] == found[1]
    assert_totals_hold()
