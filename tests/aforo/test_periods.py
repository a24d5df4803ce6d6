"""Periods: half-open, counted from the anchor, whole or partial."""

from datetime import UTC, datetime
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.periods import add_months, month_start, monthly

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])
STARTS = st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_month_ends_are_counted_from_the_anchor():
    periods = islice(monthly(start=utc(2026, 1, 31), anchor_day=31, zone="UTC"), 4)
    assert [period.end for period in periods] == [
        utc(2026, 2, 28),
        utc(2026, 3, 31),
        utc(2026, 4, 30),
        utc(2026, 5, 31),
    ]


def test_a_start_between_anchors_makes_a_partial_first_period():
    first, second = islice(monthly(start=utc(2026, 1, 16), anchor_day=1, zone="UTC"), 2)
    assert (first.start, first.end) == (utc(2026, 1, 16), utc(2026, 2, 1))
    assert (first.seconds, first.whole_seconds) == (16 * 86400, 31 * 86400)
    assert first.is_partial
    assert not second.is_partial


def test_periods_turn_at_local_midnight_across_a_change_of_clocks():
    march, april = islice(
        monthly(start=utc(2026, 2, 28, 23), anchor_day=1, zone="Europe/Berlin"), 2
    )
    assert (march.start, march.end) == (utc(2026, 2, 28, 23), utc(2026, 3, 31, 22))
    assert march.seconds == (31 * 24 - 1) * 3600
    assert april.end == utc(2026, 4, 30, 22)


@given(start=STARTS, anchor_day=st.integers(1, 31), zone=ZONES)
def test_periods_leave_no_gap_and_no_overlap(start, anchor_day, zone):
    periods = list(islice(monthly(start=start, anchor_day=anchor_day, zone=zone), 15))
    assert periods[0].start == start
    for period, following in pairwise(periods):
        assert period.start < period.end == following.start
        assert period.whole_start <= period.start
        assert not following.is_partial


@pytest.mark.parametrize(
    ("month", "count", "result"),
    [
        (utc(2026, 1, 1), 1, utc(2026, 2, 1)),
        (utc(2026, 12, 1), 1, utc(2027, 1, 1)),
        (utc(2026, 1, 1), -1, utc(2025, 12, 1)),
        (utc(2026, 3, 1), -4, utc(2025, 11, 1)),
    ],
)
def test_months_are_added_across_years(month, count, result):
    assert add_months(month, count) == result


def test_a_month_starts_at_midnight_utc():
    assert month_start(utc(2026, 3, 15, 12, 30)) == utc(2026, 3, 1)
