"""Aggregate: quantities as the running totals stood."""

from decimal import Decimal

import pytest

from billing.pipeline.aggregate import aggregate_usage
from tests.billing.pipeline.build import facts, opened, plan, usage_fact

LARGEST = "999999999999999999999999.999999999999"


@pytest.mark.parametrize("quantity", ["0", "1764", "0.000000000001", LARGEST])
def test_the_quantity_is_the_running_total(quantity):
    given = facts(usage=[usage_fact(quantity)])
    (usage,) = aggregate_usage(opened(given), given).usage
    assert usage.quantity == Decimal(quantity)


def test_the_watermark_is_noted():
    given = facts(usage=[usage_fact("9", event_count=3, position=3)])
    after = aggregate_usage(opened(given), given)
    assert after.notes == ("Plan 1: calls: 3 events up to position 3",)


def test_usage_stands_by_plan_then_unit_then_dimension():
    given = facts(
        plan(1, name="Zebra"),
        plan(2, name="Ant"),
        usage=[
            usage_fact("1", of=1, unit="calls", number=1),
            usage_fact("2", of=2, unit="tokens", number=2),
            usage_fact("3", of=2, unit="calls", number=3, dimension='{"region":"us"}'),
            usage_fact("4", of=2, unit="calls", number=3, dimension='{"region":"eu"}'),
        ],
    )
    usage = aggregate_usage(opened(given), given).usage
    assert [usage.quantity for usage in usage] == [4, 3, 2, 1]


def test_a_total_of_a_foreign_plan_is_refused():
    given = facts(usage=[usage_fact("1", of=7, number=42)])
    with pytest.raises(ValueError, match="running total 42 is of no plan of this period"):
        aggregate_usage(opened(given), given)


def test_two_totals_of_one_unit_are_refused():
    one = usage_fact("1", number=1)
    given = facts(usage=[one, usage_fact("1", number=2, unit_id=one.unit_id)])
    with pytest.raises(ValueError, match="running totals 1 and 2 both count Plan 1: calls"):
        aggregate_usage(opened(given), given)


def test_without_usage_nothing_changes():
    assert aggregate_usage(opened(facts()), facts()) == opened(facts())
