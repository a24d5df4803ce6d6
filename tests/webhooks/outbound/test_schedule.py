"""Retries grow over three days; endpoints rest, and are given up after five days."""

from datetime import timedelta

import pytest

from tests.factories import NOW
from webhooks.outbound.schedule import PAUSES, is_hopeless, next_attempt, rest_after


def test_retries_grow_over_three_days_and_end():
    assert list(PAUSES) == sorted(PAUSES)
    assert timedelta(days=2, hours=20) < sum(PAUSES, timedelta()) <= timedelta(days=3)
    assert next_attempt(len(PAUSES), now=NOW) is None


@pytest.mark.parametrize("step", range(len(PAUSES)))
def test_no_two_retries_come_at_the_same_instant(step):
    drawn = {next_attempt(step, now=NOW) for _ in range(20)}
    assert len(drawn) > 1
    for at in drawn:
        assert PAUSES[step] * 0.9 <= at - NOW <= PAUSES[step] * 1.1


def test_an_endpoint_that_fails_again_and_again_rests_for_five_minutes_at_most():
    rests = [rest_after(failures, now=NOW) for failures in (1, 2, 3, 4, 9, 1000)]
    assert rests == [None, None, *(NOW + timedelta(seconds=pause) for pause in (5, 10, 300, 300))]


def test_five_days_of_failure_are_enough():
    assert not is_hopeless(None, now=NOW)
    assert not is_hopeless(NOW - timedelta(days=4, hours=23), now=NOW)
    assert is_hopeless(NOW - timedelta(days=5), now=NOW)
