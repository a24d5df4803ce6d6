from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from aforo.edge.throttling import Throttle
from metering.entitlements.state import MarginState


def throttled(percent=100, per_second=None):
    return MarginState("L2_THROTTLE", throttle_rate=percent, requests_per_second=per_second)


@given(percent=some.integers(0, 100), before=some.integers(0, 250))
def test_of_any_hundred_calls_in_a_row_exactly_the_rate_passes(percent, before):
    throttle, margin = Throttle(monotonic=lambda: 0.0), throttled(percent)
    for _ in range(before):
        throttle.lets_pass("anybody", margin)
    assert sum(throttle.lets_pass("anybody", margin) for _ in range(100)) == percent


def test_customers_are_counted_apart_and_only_while_throttled():
    throttle = Throttle()
    assert [throttle.lets_pass(who, throttled(50)) for who in "aabb"] == [False, True] * 2
    assert all(throttle.lets_pass("a", MarginState(level)) for level in ("NONE", "L1_ALERT"))


@pytest.mark.parametrize(("per_second", "passing"), [("5", 15), ("0.5", 2)])
def test_so_many_a_second_pass_and_no_more_are_saved_up_than_a_second_has(per_second, passing):
    now = 0.0
    throttle = Throttle(monotonic=lambda: now)
    passed = 0
    for _ in range(3000):  # a thousand calls a second, for three
        passed += throttle.lets_pass("a", throttled(per_second=Decimal(per_second)))
        now += 0.001
    assert passed == passing
