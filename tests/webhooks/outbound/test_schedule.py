"""Retries grow over three days; endpoints rest, and are given up after five days."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.factories import NOW
from webhooks.outbound.schedule import (
    PAUSES,
    asked_for,
    is_hopeless,
    next_attempt,
    rest_after,
)


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


@pytest.mark.parametrize(
    "said",
    [
        "Fri, 31 Dec 2026 23:59:59 +99999999999999999999",
        "Fri, 31 Dec 99999999999999999999 23:59:59 GMT",
    ],
)
def test_a_date_beyond_all_calendars_says_nothing(said):
    assert asked_for(429, said, now=NOW) is None


def test_five_days_of_failure_are_enough():
    assert not is_hopeless(None, now=NOW)
    assert not is_hopeless(NOW - timedelta(days=4, hours=23), now=NOW)
    assert is_hopeless(NOW - timedelta(days=5), now=NOW)


IN_AN_HOUR = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "said", "until"),
    [
        (429, "3600", IN_AN_HOUR),
        (503, " 0 ", NOW),
        (503, format_datetime(IN_AN_HOUR, usegmt=True), IN_AN_HOUR),
        (429, "Sun, 15 Mar 2026 13:00:00", IN_AN_HOUR),  # without a zone it is that of HTTP
        (429, "999999999999999999999999", NOW + timedelta(days=1)),
        (429, format_datetime(datetime(9999, 1, 1, tzinfo=UTC)), NOW + timedelta(days=1)),
        (429, format_datetime(NOW - timedelta(days=1)), None),
        (500, "3600", None),
        (200, "3600", None),
        (None, "3600", None),
        (429, "", None),
        (429, "-5", None),
        (429, "1.5", None),
        (429, "\u0665", None),
        (429, "tomorrow", None),
        (429, "Sun, 99 Mar 2026 99:00:00 GMT", None),
    ],
)
def test_who_asks_to_be_let_alone_is_for_a_day_at_most(status, said, until):
    assert asked_for(status, said, now=NOW) == until


def test_what_was_asked_for_makes_a_pause_longer_and_never_shorter():
    first = next_attempt(0, now=NOW, asked=IN_AN_HOUR, draw=lambda low, _: low)
    assert first == rest_after(1, now=NOW, asked=IN_AN_HOUR) == IN_AN_HOUR
    usual = next_attempt(6, now=NOW, draw=lambda low, _: low)
    assert next_attempt(6, now=NOW, asked=IN_AN_HOUR, draw=lambda low, _: low) == usual > IN_AN_HOUR
    assert next_attempt(len(PAUSES), now=NOW, asked=IN_AN_HOUR) is None
    assert rest_after(9, now=NOW, asked=NOW) == rest_after(9, now=NOW)
