"""Settling and carrying over: quantities told from all events, levels and allowances moved on."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise
from threading import Barrier

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from aforo.money import ZERO, plain
from billing.invariants import costs, ledger
from billing.invariants.violations import Scope
from catalog.models import BillableUnit, Subscription, SubscriptionPeriod
from catalog.selectors.prices import prices_of_totals
from metering.aggregation.percentile import SAMPLE
from metering.aggregation.weighted import CHANGES
from metering.models import RatingAdjustment, RunningTotal, UniqueValue, UsageEvent
from metering.recount import recount
from metering.services.carrying import Carry, Move, carry_over
from metering.services.estimates import settle_estimates
from metering.services.ingest import drain_once
from metering.services.missing_totals import ensure_totals
from metering.services.watermark_returns import unbill_period
from metering.services.watermarks import lock_totals, stamp_billed
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, RateCardFactory, RatePlanVersionFactory
from tests.metering.conftest import NOW, subscribe
from tests.metering.events import event
from tests.metering.ledger import assert_totals_hold

numbers = count(1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
PER_UNIT = {"model": "PER_UNIT", "rate": "0.5"}
QUOTA = {"model": "PER_UNIT", "rate": "1", "includedFree": "10"}


@pytest.fixture
def sell(seller):
    def sell(terms, **unit):
        number = next(numbers)
        made = BillableUnitFactory(tenant=seller.tenant, name=f"unit_{number}", **unit)
        version = RatePlanVersionFactory(tenant=seller.tenant, prices={made: terms}, published=True)
        subscribe(seller.tenant, f"buyer_{number}", version, months=3)
        return {"customerId": f"buyer_{number}", "metricName": made.name}

    return sell


def made(fields, quantity, *, on=MARCH, **metadata):
    number = next(numbers)
    more = {"quantity": plain(quantity), "occurredAt": on.isoformat(), "metadata": metadata}
    return event(number, **fields, **more)


def periods_of(fields):
    name = fields["customerId"]
    rows = SubscriptionPeriod.objects.filter(subscription__customer__external_id=name)
    return list(rows.order_by("start_at"))


def totals_of(period):
    return list(RunningTotal.objects.filter(period_id=period.pk).order_by("id"))


def prices_for(locked):
    keys = {one.id: (one.period_id, one.plan_version_id, one.unit_id) for one in locked}
    found = prices_of_totals(locked[0].tenant_id, set(keys.values()))
    return {total_id: found[key] for total_id, key in keys.items()}


@transaction.atomic
def settle(*periods):
    locked = lock_totals([period.pk for period in periods])
    return settle_estimates(locked, prices=prices_for(locked), now=NOW)


@transaction.atomic
def carry(before, after, rollover=ZERO):
    """As a bill run does: make, lock, settle, stamp, carry."""
    sources = RunningTotal.objects.filter(period_id=before.pk)
    moves = [
        Move(before.pk, one.plan_version_id, one.unit_id, after.pk, one.plan_version_id)
        for one in sources
    ]
    ensure_totals((), moves)
    locked = lock_totals([before.pk, after.pk])
    own = [one for one in locked if one.period_id == before.pk]
    settled = settle_estimates(own, prices=prices_for(own), now=NOW)
    next_ones = {one.dimension: one for one in locked if one.period_id == after.pk}
    prices = prices_for(list(next_ones.values()))
    carries = [
        Carry(one, next_ones[one.dimension], prices[next_ones[one.dimension].id], rollover)
        for one in settled
    ]
    stamp_billed([one.id for one in settled])
    return carry_over(carries, now=NOW)


def assert_it_recounts(seller, *periods):
    """`assert_totals_hold`, and an auditor who walks events and adjustments finds the same."""
    assert_totals_hold()
    assert_auditors_agree(seller, *periods)


def assert_auditors_agree(seller, *periods):
    for month in {period.start_at for period in periods}:
        found = list(recount(tenant=seller.tenant, month=month))
        assert found
        assert [one.differences for one in found if one.differences] == []
    scope = Scope(tenant_id=seller.tenant.pk, full=True)
    assert list(ledger.totals_off_their_events(scope)) == []
    assert list(ledger.quantities_off_all_events(scope)) == []
    assert list(ledger.totals_off_their_price(scope)) == []
    assert list(costs.costs_off_their_usage(scope)) == []


# --- settling -------------------------------------------------------------------------------


def test_a_percentile_is_told_from_all_events_and_its_price_adjusted(seller, sell):
    fields = sell(PER_UNIT, aggregation="PERCENTILE_95", unit_cost="0.1")
    seller.count(*(made(fields, size) for size in range(1, 3 * SAMPLE + 1)))
    march, *_ = periods_of(fields)
    (before,) = totals_of(march)
    (after,) = settle(march)
    assert after.quantity == 570
    (row,) = RatingAdjustment.objects.all()
    assert (row.amount, row.quantity, row.position) == (
        (570 - before.quantity) / 2,
        570,
        3 * SAMPLE,
    )
    assert after.adjustments == row.amount
    assert (row.cost, after.cost) == ((570 - before.quantity) / 10, 57)
    assert_it_recounts(seller, march)


def test_levels_that_came_too_late_are_told_from_all_events(seller, sell):
    fields = sell(PER_UNIT, aggregation="WEIGHTED_SUM")
    times = [MARCH + timedelta(minutes=7 * number) for number in range(2 * CHANGES)]
    seller.count(*(made(fields, 10, on=moment) for moment in times))
    seller.count(made(fields, 1_000, on=MARCH + timedelta(minutes=1)))
    march, *_ = periods_of(fields)
    assert totals_of(march)[0].quantity == 10
    (after,) = settle(march)
    assert after.quantity == Decimal("10.133064516129")  # 990 more for 6 of 44,640 minutes
    assert_it_recounts(seller, march)
    seller.count(made(fields, 20, on=MARCH + timedelta(days=10)))
    assert settle(march)[0].adjustments != 0
    assert_it_recounts(seller, march)


def test_what_shows_no_estimate_is_left_alone(seller, sell):
    fields = sell(QUOTA, aggregation="SUM")
    seller.count(made(fields, 12))
    march, *_ = periods_of(fields)
    with transaction.atomic():
        locked = lock_totals([march.pk])
        prices = prices_for(locked)
        with CaptureQueriesContext(connection) as queries:
            assert settle_estimates(locked, prices=prices, now=NOW) == locked
    assert not queries.captured_queries
    assert not RatingAdjustment.objects.exists()


def test_an_allowance_that_was_cut_is_charged_for(seller, sell):
    """What counted 12 units under 10 free ones is a third of a period now, with a third of them."""
    fields = sell(QUOTA, aggregation="SUM")
    seller.count(made(fields, 12))
    march, *_ = periods_of(fields)
    Subscription.objects.filter(pk=march.subscription_id).update(start_at=MARCH - timedelta(days=1))
    SubscriptionPeriod.objects.filter(pk=march.pk).update(
        end_at=MARCH + timedelta(days=10), whole_end_at=MARCH + timedelta(days=30)
    )
    (after,) = settle(march)
    assert plain(after.adjustments) == "6.666666666667"
    assert settle(march) == [after]
    assert RatingAdjustment.objects.count() == 1


# --- carrying over --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregation", "sizes", "expected"),
    [
        ("SUM", ([3, 4], [5]), ("7", "12")),
        ("SUM", ([3, 4], []), ("7", "7")),
        ("MAX", ([3, 9], [5]), ("9", "9")),
        ("MAX", ([3, 4], [5]), ("4", "5")),
        ("LATEST", ([3, 4], []), ("4", "4")),
        ("LATEST", ([3, 4], [5]), ("4", "5")),
    ],
)
def test_recurring_units_begin_where_the_period_before_ended(
    seller, sell, aggregation, sizes, expected
):
    old, new = sizes
    fields = sell(PER_UNIT, aggregation=aggregation, recurring=True, unit_cost="0.2")
    march, april, *_ = periods_of(fields)
    seller.count(*(made(fields, size, on=MARCH + timedelta(days=1)) for size in old[:1]))
    seller.count(*(made(fields, size, on=MARCH + timedelta(days=2)) for size in old[1:]))
    count_in_april(seller, fields, april, new)
    carry(march, april)
    (total,) = totals_of(april)
    assert (plain(total.carried), plain(total.quantity)) == expected
    assert_it_recounts(seller, march, april)
    assert carry(march, april) == []
    assert_it_recounts(seller, march, april)


def count_in_april(seller, fields, april, sizes):
    if sizes:
        april.subscription.tenant.clock_frozen_at = april.start_at + timedelta(days=1)
        type(seller.tenant).objects.filter(pk=seller.tenant.pk).update(
            clock_frozen_at=april.start_at + timedelta(days=1)
        )
        seller.count(*(made(fields, size, on=april.start_at) for size in sizes))


def test_distinct_values_go_over_and_count_once(seller, sell):
    fields = sell(PER_UNIT, aggregation="UNIQUE", event_field="user", recurring=True)
    march, april, *_ = periods_of(fields)
    seller.count(made(fields, 1, user="a"), made(fields, 1, user="b"))
    type(seller.tenant).objects.filter(pk=seller.tenant.pk).update(
        clock_frozen_at=april.start_at + timedelta(days=1)
    )
    seller.count(*(made(fields, 1, on=april.start_at, user=name) for name in "bc"))
    carry(march, april)
    (total,) = totals_of(april)
    assert total.quantity == 3
    assert UniqueValue.objects.filter(running_total_id=total.id, is_carried=True).count() == 2
    seller.count(made(fields, 1, on=april.start_at, user="a"))
    assert totals_of(april)[0].quantity == 3
    assert_it_recounts(seller, march, april)


def test_a_value_that_was_taken_back_before_its_period_is_billed_anew_goes_over_no_more(
    seller, sell
):
    fields = sell(PER_UNIT, aggregation="UNIQUE", event_field="user", recurring=True)
    march, april, *_ = periods_of(fields)
    seller.count(*(made(fields, 1, user=name) for name in "abcd"))
    at_april = {"clock_frozen_at": april.start_at + timedelta(days=1)}
    type(seller.tenant).objects.filter(pk=seller.tenant.pk).update(**at_april)
    seller.count(*(made(fields, 1, on=april.start_at, user=name) for name in "be"))
    carry(march, april)
    seller.count(made(fields, 1, on=april.start_at, user="c"))
    assert totals_of(april)[0].quantity == 5
    unbill_period(march.pk)
    for user in "abc":
        void(seller, march, user)
    seller.count(made(fields, 1, user="f"))
    carry(march, april)
    (total,) = totals_of(april)
    assert (total.carried, total.quantity) == (2, 5)  # d and f, and b, c and e of its own
    assert UniqueValue.objects.filter(running_total_id=total.id, is_carried=True).count() == 2
    assert_auditors_agree(seller, march, april)
    seller.count(*(made(fields, 1, on=april.start_at, user=name) for name in "ad"))
    assert totals_of(april)[0].quantity == 6
    assert carry(march, april) == []
    assert_auditors_agree(seller, march, april)


def void(seller, period, user):
    (total,) = totals_of(period)
    row = UsageEvent.objects.get(running_total_id=total.pk, metadata__contains=f'"{user}"')
    path = f"/api/v1/usage-events/{row.pk}/void"
    answer = operator_client(seller.tenant).post(path, {"reason": "wrong"}, format="json")
    assert answer.status_code in {200, 201}, answer.content


def test_a_level_costs_what_the_card_says_when_its_period_begins(seller, sell):
    fields = sell(PER_UNIT, aggregation="LATEST", recurring=True, unit_cost="9")
    march, april, *_ = periods_of(fields)
    unit = BillableUnit.objects.get(name=fields["metricName"])
    until = {"unit_price": "0.5", "valid_until": april.start_at}
    RateCardFactory(tenant=seller.tenant, unit=unit, **until)
    RateCardFactory(tenant=seller.tenant, unit=unit, unit_price="2", valid_from=april.start_at)
    seller.count(made(fields, 10))
    carry(march, april)
    assert [total.cost for total in (*totals_of(march), *totals_of(april))] == [5, 20]


def test_a_weighted_level_is_held_until_the_first_change(seller, sell):
    fields = sell(PER_UNIT, aggregation="WEIGHTED_SUM", recurring=True)
    march, april, *_ = periods_of(fields)
    seller.count(made(fields, 10, on=MARCH), made(fields, 30, on=MARCH + timedelta(days=10)))
    carry(march, april)
    (total,) = totals_of(april)
    assert (total.carried, total.quantity) == (30, 30)
    assert_it_recounts(seller, march, april)


def test_units_left_over_are_free_in_the_next_period(seller, sell):
    fields = sell(QUOTA, aggregation="SUM")
    march, april, *_ = periods_of(fields)
    seller.count(made(fields, 4))
    count_in_april(seller, fields, april, [15])
    carry(march, april, rollover=Decimal(6))
    (total,) = totals_of(april)
    (row,) = RatingAdjustment.objects.all()
    assert (total.revenue, row.amount, row.rollover) == (5, -5, 6)
    count_in_april(seller, fields, april, [2])
    (total,) = totals_of(april)
    assert total.revenue == 6  # one unit is free still
    assert_it_recounts(seller, march, april)


def test_each_dimension_carries_its_own(seller, sell):
    fields = sell(QUOTA | {"groupBy": ["team"]}, aggregation="SUM", recurring=True)
    march, april, *_ = periods_of(fields)
    seller.count(made(fields, 12, team="a"), made(fields, 3, team="b"))
    carry(march, april)
    assert {one.dimension: plain(one.quantity) for one in totals_of(april)} == {
        '{"team":"a"}': "12",
        '{"team":"b"}': "3",
    }
    assert_it_recounts(seller, march, april)


def test_an_average_is_checked_to_its_last_digit(seller, sell):
    fields = sell(PER_UNIT, aggregation="AVG")
    march, *_ = periods_of(fields)
    seller.count(*(made(fields, size) for size in (1, 1, 2)))
    assert_it_recounts(seller, march)
    RunningTotal.objects.update(quantity="1.333333333334")
    scope = Scope(tenant_id=seller.tenant.pk, full=True)
    assert len(list(ledger.totals_off_their_events(scope))) == 1


def test_a_quantity_that_is_billed_must_be_that_of_all_events(seller, sell):
    fields = sell(PER_UNIT, aggregation="PERCENTILE_95")
    march, april, *_ = periods_of(fields)
    seller.count(made(fields, 4), made(fields, 3))
    carry(march, april)
    assert_it_recounts(seller, march)
    RunningTotal.objects.filter(period_id=march.pk).update(quantity=5)
    scope = Scope(tenant_id=seller.tenant.pk, full=True)
    (violation,) = ledger.quantities_off_all_events(scope)
    assert violation.found == "quantity 5; all of its events: 4"


def test_what_is_billed_already_gets_nothing_more(seller, sell):
    fields = sell(PER_UNIT, aggregation="LATEST", recurring=True)
    march, april, *_ = periods_of(fields)
    seller.count(made(fields, 4))
    carry(march, april)
    with transaction.atomic():
        stamp_billed([totals_of(april)[0].id])
    RunningTotal.objects.filter(period_id=march.pk).update(quantity=9)
    assert carry(march, april) == []
    assert totals_of(april)[0].carried == 4


def test_statements_do_not_grow_with_totals(seller, sell):
    asked = []
    for teams in (1, 20):
        fields = sell(PER_UNIT | {"groupBy": ["team"]}, aggregation="WEIGHTED_SUM", recurring=True)
        march, april, *_ = periods_of(fields)
        times = [MARCH + timedelta(minutes=number) for number in range(CHANGES + 1)]
        for team in range(teams):
            seller.count(*(made(fields, 7, on=moment, team=f"{team}") for moment in times))
            seller.count(made(fields, 9, on=MARCH, team=f"{team}"))
        with CaptureQueriesContext(connection) as queries:
            carry(march, april)
        asked.append(len(queries.captured_queries))
    assert asked[0] == asked[1]


# --- locks ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_eight_threads_at_one_dimension_total_lose_nothing(seller, sell):
    usual = connection.pool.max_size
    connection.pool.resize(1, 18)
    fields = sell(QUOTA | {"groupBy": ["team"]}, aggregation="WEIGHTED_SUM", recurring=True)
    for number in range(8):
        seller.send(*(made(fields, number + size, team="a") for size in range(5)))
    barrier = Barrier(8)

    def drain(_):
        try:
            barrier.wait()
            return drain_once(shard=0, shards=1, now=NOW, limit=5)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        drained = sum(threads.map(drain, range(8)))
    drained += seller.drain()
    connection.pool.resize(1, usual)
    (total,) = RunningTotal.objects.all()
    assert (drained, total.position, total.event_count) == (40, 40, 40)
    assert_totals_hold()


def test_positions_have_no_gaps_when_totals_are_settled_in_between(seller, sell):
    fields = sell(PER_UNIT, aggregation="PERCENTILE_95")
    march, *_ = periods_of(fields)
    for size in (5, 50, 1):
        seller.count(made(fields, size))
        settle(march)
    positions = [total.position for total in totals_of(march)]
    assert positions == [3]
    assert all(low < high for low, high in pairwise([0, *positions]))
    assert_it_recounts(seller, march)
