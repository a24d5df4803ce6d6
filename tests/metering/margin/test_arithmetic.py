"""Margins, exactly: worked examples, then what holds for all of them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import ZERO, exact
from metering.margin.arithmetic import Level, Margin, Reason, Thresholds, earned, split

amounts = st.integers(-(10**21), 10**21).map(lambda number: Decimal(number).scaleb(-12))
costs = st.integers(0, 10**21).map(lambda number: Decimal(number).scaleb(-12))
percents = st.integers(-(10**8), 10**8).map(lambda number: Decimal(number).scaleb(-6))
USUAL = Thresholds()


@pytest.mark.parametrize(
    ("revenue", "cost", "percent", "level", "reason"),
    [
        ("100", "79.99", "20.01", "NONE", "OK"),
        ("100", "80", "20", "NONE", "OK"),
        ("100", "80.000000000001", "19.999999999999", "L1_ALERT", "LOW_MARGIN"),
        ("100", "90", "10", "L1_ALERT", "LOW_MARGIN"),
        ("100", "90.01", "9.99", "L2_THROTTLE", "LOW_MARGIN"),
        ("100", "100", "0", "L2_THROTTLE", "LOW_MARGIN"),
        ("100", "100.01", "-0.01", "L3_BLOCK", "LOW_MARGIN"),
        ("3", "2", "33.333333333333", "NONE", "OK"),
        ("0", "1.01", None, "L3_BLOCK", "NO_REVENUE"),
        ("-5", "1.01", None, "L3_BLOCK", "NO_REVENUE"),
        ("0", "1", None, "NONE", "BELOW_FLOOR"),
        ("0.5", "1", "-100", "NONE", "BELOW_FLOOR"),
        ("0", "0", None, "NONE", "BELOW_FLOOR"),
    ],
)
def test_worked_margins(revenue, cost, percent, level, reason):
    margin = Margin(Decimal(revenue), Decimal(cost))
    assert margin.percent == (None if percent is None else Decimal(percent))
    verdict = USUAL.judge(margin)
    assert (verdict.level, verdict.reason) == (level, reason)


@pytest.mark.parametrize(
    ("cost", "shown"),
    [("80.0001", "19.99 %"), ("81", "19 %"), ("100.001", "-0.01 %"), ("1e40", None)],
)
def test_a_margin_is_never_shown_as_more_than_it_is(cost, shown):
    margin = Margin(Decimal(100), Decimal(cost))
    assert margin.shown == (shown or f"-{10**40 - 100} %")
    assert Margin(Decimal(0), Decimal(cost)).shown == "no revenue"


def test_a_segment_with_a_floor_keeps_the_distances():
    assert USUAL.lifted_to(Decimal(25)) == Thresholds(Decimal(45), Decimal(35), Decimal(25))
    assert USUAL.lifted_to(None) is USUAL


def test_what_was_promised_is_the_least_that_is_earned():
    assert earned(fees=Decimal(10), usage=Decimal(5), minimum=Decimal(100)) == 100
    assert earned(fees=Decimal(10), usage=Decimal(95), minimum=Decimal(100)) == 105


@given(amounts, costs, percents)
def test_below_is_told_as_exactly_as_with_a_fraction(revenue, cost, percent):
    margin = Margin(revenue, cost)
    if margin.has_revenue:
        with exact():
            assert margin.is_below(percent) == (cost > revenue * (1 - percent.scaleb(-2)))
    else:
        assert margin.is_below(percent)
        assert margin.percent is None


@given(amounts, costs, costs)
def test_costing_more_never_helps(revenue, cost, more):
    before = USUAL.judge(Margin(revenue, cost)).level
    after = USUAL.judge(Margin(revenue, cost + more)).level
    assert before.rank <= after.rank


@given(amounts, costs, costs)
def test_earning_more_never_hurts(revenue, more, cost):
    before = USUAL.judge(Margin(revenue, cost)).level
    after = USUAL.judge(Margin(revenue + more, cost)).level
    assert after.rank <= before.rank


@given(amounts, costs)
def test_nobody_is_judged_by_less_than_the_floor(revenue, cost):
    verdict = Thresholds(cost_floor=cost).judge(Margin(revenue, cost))
    assert (verdict.level, verdict.reason) == (Level.NONE, Reason.BELOW_FLOOR)


@given(st.lists(st.tuples(amounts, costs), max_size=6))
def test_margins_add_up_in_any_grouping(pairs):
    margins = [Margin(*pair) for pair in pairs]
    left = sum(margins, Margin())
    right = sum(reversed(margins), Margin())
    assert left == right
    assert left.revenue == sum((one.revenue for one in margins), ZERO)


@given(amounts, st.integers(min_value=1, max_value=40))
def test_parts_sum_up_to_the_whole(amount, count):
    parts = split(amount, count)
    assert len(parts) == count
    assert sum(parts) == amount
