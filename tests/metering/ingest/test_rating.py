"""The price of an event is what it adds to the price of its total, exactly."""

import json
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.money import ZERO, plain
from catalog.models import Subscription
from catalog.pricing import parse_terms
from metering.models import RunningTotal, UniqueValue
from tests.catalog.pricing.strategies import WIRE, quantities, small
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.events import event, outcomes, rows
from tests.metering.ledger import assert_nothing_is_lost, assert_totals_hold

numbers = count(1)
often = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PER_UNIT = {"model": "PER_UNIT", "rate": "0.5"}
USERS = {"aggregation": "UNIQUE", "event_field": "user"}


@pytest.fixture
def sell(seller):
    """A unit with these terms, and a customer subscribed to it; fields of an event for both."""

    def sell(terms, **unit):
        number = next(numbers)
        made = BillableUnitFactory(tenant=seller.tenant, name=f"metric_{number}", **unit)
        version = RatePlanVersionFactory(tenant=seller.tenant, prices={made: terms}, published=True)
        subscribe(seller.tenant, f"buyer_{number}", version)
        return {"customerId": f"buyer_{number}", "metricName": made.name}

    return sell


def total_of(fields):
    subscription = Subscription.objects.get(customer__external_id=fields["customerId"])
    return RunningTotal.objects.get(subscription_id=subscription.id)


def send(seller, fields, batches):
    """Each batch of quantities in a request and a drain of its own."""
    for batch in batches:
        seller.count(
            *(event(next(numbers), **fields, quantity=plain(quantity)) for quantity in batch)
        )


# --- aggregations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregation", "steps"),
    [
        ("COUNT", [1, 1, 1, 1, 1]),
        ("SUM", [3, 1, 4, 1, 5]),
        ("MAX", [3, 0, 1, 0, 1]),
    ],
)
@pytest.mark.parametrize("split", [[5], [1, 1, 1, 1, 1], [2, 3]])
def test_aggregations_over_any_split(seller, sell, aggregation, steps, split):
    fields = sell(PER_UNIT, aggregation=aggregation)
    sizes = iter([Decimal(size) for size in (3, 1, 4, 1, 5)])
    send(seller, fields, [[next(sizes) for _ in range(length)] for length in split])
    assert total_of(fields).quantity == sum(steps)
    assert [row.revenue * 2 for row in rows()] == steps
    assert_totals_hold()


@pytest.mark.parametrize("split", [[8], [1] * 8, [3, 5]])
def test_unique_counts_each_value_once_in_a_period(seller, sell, split):
    fields = sell(PER_UNIT, **USERS)
    users = iter(["a", "b", "a", 1, "c", 1.0, "b", {"id": 1}])
    for length in split:
        metadata = [{"user": next(users)} for _ in range(length)]
        seller.count(*(event(next(numbers), **fields, metadata=one) for one in metadata))
    assert total_of(fields).quantity == 5
    assert [row.revenue * 2 for row in rows()] == [1, 1, 0, 1, 1, 0, 0, 1]
    assert UniqueValue.objects.count() == 5
    assert_totals_hold()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("1", "1e0", True),
        ("100", "1e2", True),
        ("1", '"1"', True),
        ("0", "-0.0", True),
        ("1e400", "10e399", True),
        ("1e-400", "10e-401", True),
        ("true", '"true"', True),
        ("0.1", "0.10000000000000000000000000001", False),
        ("1e400", "1e401", False),
        ('"a"', '"A"', False),
        ('"\\u00e9"', '"\u00e9"', True),
        ("[1]", "[1,1]", False),
        ("true", "1", False),
        ('""', '" "', False),
    ],
)
def test_which_values_are_one(seller, sell, one, other, same):
    fields = sell(PER_UNIT, **USERS)
    made = [json.dumps(event(next(numbers), **fields, metadata={"user": "@"})) for _ in range(2)]
    body = [text.replace('"@"', value) for text, value in zip(made, (one, other), strict=True)]
    seller.post(f"[{','.join(body)}]".encode())
    seller.drain()
    assert total_of(fields).quantity == (1 if same else 2)


def test_a_field_of_the_event_can_be_counted_unless_metadata_has_one_of_the_name(seller, sell):
    fields = sell(PER_UNIT, aggregation="UNIQUE", event_field="sessionId")
    seller.count(
        event(1, **fields, sessionId="a"),
        event(2, **fields, sessionId="b", metadata={"sessionId": "a"}),
        event(3, **fields, sessionId="b"),
    )
    assert total_of(fields).quantity == 2


def test_counting_units_count_events_of_no_quantity(seller, sell):
    fields = sell(PER_UNIT, aggregation="COUNT")
    seller.count(event(1, **fields, quantity=0))
    assert total_of(fields).quantity == 1


def test_what_a_unit_costs_follows_the_quantity(seller, sell):
    fields = sell(PER_UNIT, aggregation="MAX", unit_cost="0.000000000001")
    send(seller, fields, [[Decimal(3)], [Decimal(2), Decimal(7)]])
    assert [plain(row.cost) for row in rows()] == ["0.000000000003", "0", "0.000000000004"]
    assert_totals_hold()


# --- exactness ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", sorted(WIRE))
@often
@given(data=st.data())
def test_charge_of_nothing_and_all_marginals_are_the_charge_of_the_total(seller, sell, model, data):
    """Over any split into batches; `assert_totals_hold` computes both sides to the last digit."""
    terms = data.draw(WIRE[model].filter(_is_sound)).copy()
    aggregation = data.draw(st.sampled_from(["COUNT", "SUM", "MAX"]))
    cost = data.draw(st.sampled_from(["0", "0.25", "9" * 26 + "." + "9" * 12]))
    fields = sell(parse_terms(terms).as_dict(), aggregation=aggregation, unit_cost=cost)
    sizes = small | quantities
    batches = data.draw(st.lists(st.lists(sizes, min_size=1, max_size=4), min_size=1, max_size=3))
    send(seller, fields, batches)
    assert_totals_hold()


def _is_sound(wire):
    try:
        parse_terms(wire)
    except ValueError:
        return False
    return True


def test_no_digit_is_lost_in_ten_thousand_of_the_longest_numbers(seller, sell):
    rate = "9" * 26 + "." + "9" * 12
    fields = sell({"model": "PER_UNIT", "rate": rate}, aggregation="SUM", unit_cost=rate)
    longest = Decimal("9" * 24 + "." + "9" * 12)
    send(seller, fields, [[longest] * 5_000] * 2)
    total = total_of(fields)
    assert plain(total.quantity) == "9999999999999999999999999999.99999999"
    assert total.revenue == total.cost > Decimal(10) ** 53
    assert_totals_hold()


def test_falling_prices_give_negative_marginals(seller, sell):
    tiers = [{"tierEnd": 1000, "unitPrice": "0.01"}, {"tierEnd": -1, "unitPrice": "0.005"}]
    fields = sell({"model": "VOLUME_TIERED", "tiers": tiers}, aggregation="SUM")
    send(seller, fields, [[Decimal(1000)], [Decimal(1)]])
    assert [plain(row.revenue) for row in rows()] == ["10", "-4.995"]
    assert_totals_hold()


def test_two_units_of_one_metric_have_chains_of_their_own(seller, sell):
    fields = sell(PER_UNIT, aggregation="SUM")
    seller.count(event(1, **fields), event(2, **fields), event(3))
    assert RunningTotal.objects.count() == 2
    assert_totals_hold()
    assert_nothing_is_lost(3)
    assert outcomes() == {"counted": 3}


def test_the_longest_times_and_texts_are_in_the_chain(seller, sell):
    fields = sell(PER_UNIT, aggregation="SUM")
    seller.count(
        event(
            "\U0001f600\\\t\n\"'",
            **fields,
            quantity="0.000000000001",
            occurredAt="2026-03-14T11:59:59.999999Z",
            productType="",
            traceId="\u2028",
            metadata={"größe": ["\\N", "\U0010ffff", 1e-7], "n": None},
        ),
        event(2, **fields, quantity="1e23", occurredAt=1773572400000.123),
    )
    assert_totals_hold()
    assert rows()[0].late


def test_a_chain_goes_on_over_drains(seller):
    for number in range(5):
        seller.count(event(number), event(f"{number} too"))
    (total,) = RunningTotal.objects.all()
    assert (total.position, total.event_count, total.quantity) == (10, 10, Decimal(10))
    assert total.revenue != ZERO
    assert_totals_hold()
