"""Periods: half-open, counted from the anchor, whole or partial."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.periods import (
    Anchor,
    Cycle,
    Period,
    add_months,
    days_between,
    month_start,
    monthly,
    periods_from,
    start_of_day,
)

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Pacific/Auckland",
        "America/Sao_Paulo",
        "Asia/Beirut",
        "Africa/Cairo",
        "America/Havana",
        "America/St_Johns",
        "Pacific/Apia",
    ]
)
STARTS = st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
CYCLES = list(Cycle)


@st.composite
def anchors(draw):
    cycle = draw(st.sampled_from(CYCLES))
    return Anchor(
        cycle=cycle,
        day=draw(st.integers(1, 7 if cycle == Cycle.WEEKLY else 31)),
        origin=draw(st.dates(date(2000, 1, 1), date(2090, 1, 1))),
        zone=draw(ZONES),
        count=draw(st.integers(1, 90)) if cycle in {Cycle.DAYS, Cycle.MONTHS} else 1,
        month=draw(st.none() | st.integers(1, 12)),
    )


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def ends(number, start, **anchor):
    fields = {"origin": start.date(), "zone": "UTC", "day": start.day, **anchor}
    return [period.end for period in islice(periods_from(start, Anchor(**fields)), number)]


def test_month_ends_are_counted_from_the_anchor():
    periods = islice(monthly(start=utc(2026, 1, 31), anchor_day=31, zone="UTC"), 4)
    assert [period.end for period in periods] == [
        utc(2026, 2, 28),
        utc(2026, 3, 31),
        utc(2026, 4, 30),
        utc(2026, 5, 31),
    ]


def test_a_leap_year_has_a_longer_february():
    assert ends(3, utc(2028, 1, 30), cycle=Cycle.MONTHLY) == [
        utc(2028, 2, 29),
        utc(2028, 3, 30),
        utc(2028, 4, 30),
    ]


def test_a_year_from_29_february_turns_on_the_last_of_february():
    assert ends(4, utc(2028, 2, 29), cycle=Cycle.ANNUAL) == [
        utc(2029, 2, 28),
        utc(2030, 2, 28),
        utc(2031, 2, 28),
        utc(2032, 2, 29),
    ]


def test_weeks_turn_on_their_weekday():
    # 18 November 2026 is a Wednesday
    assert ends(2, utc(2026, 11, 18), cycle=Cycle.WEEKLY, day=1) == [
        utc(2026, 11, 23),
        utc(2026, 11, 30),
    ]
    assert ends(1, utc(2026, 11, 18), cycle=Cycle.WEEKLY, day=3) == [utc(2026, 11, 25)]


def test_quarters_turn_in_every_third_month():
    assert ends(3, utc(2026, 11, 30), cycle=Cycle.QUARTERLY) == [
        utc(2027, 2, 28),
        utc(2027, 5, 30),
        utc(2027, 8, 30),
    ]
    assert ends(2, utc(2026, 11, 30), cycle=Cycle.QUARTERLY, day=1, month=1) == [
        utc(2027, 1, 1),
        utc(2027, 4, 1),
    ]


def test_a_calendar_year_turns_in_january():
    start = utc(2026, 11, 18)
    anchor = Anchor(Cycle.ANNUAL, 1, start.date(), "UTC", month=1)
    first, second = islice(periods_from(start, anchor), 2)
    assert (first.whole_start, first.start, first.end) == (
        utc(2026, 1, 1),
        utc(2026, 11, 18),
        utc(2027, 1, 1),
    )
    assert (second.start, second.end, second.is_partial) == (
        utc(2027, 1, 1),
        utc(2028, 1, 1),
        False,
    )


def test_so_many_days_are_counted_from_the_origin():
    assert ends(3, utc(2026, 1, 10), cycle=Cycle.DAYS, count=30) == [
        utc(2026, 2, 9),
        utc(2026, 3, 11),
        utc(2026, 4, 10),
    ]


def test_so_many_months_are_counted_from_the_origin():
    assert ends(3, utc(2026, 8, 31), cycle=Cycle.MONTHS, count=6) == [
        utc(2027, 2, 28),
        utc(2027, 8, 31),
        utc(2028, 2, 29),
    ]


def test_a_start_between_anchors_makes_a_partial_first_period():
    first, second = islice(monthly(start=utc(2026, 1, 16), anchor_day=1, zone="UTC"), 2)
    assert (first.start, first.end) == (utc(2026, 1, 16), utc(2026, 2, 1))
    assert (first.seconds, first.whole_seconds) == (16 * 86400, 31 * 86400)
    assert (first.days("UTC"), first.whole_days("UTC")) == (16, 31)
    assert first.is_partial
    assert not second.is_partial


def test_periods_turn_at_local_midnight_across_a_change_of_clocks():
    march, april = islice(
        monthly(start=utc(2026, 2, 28, 23), anchor_day=1, zone="Europe/Berlin"), 2
    )
    assert (march.start, march.end) == (utc(2026, 2, 28, 23), utc(2026, 3, 31, 22))
    assert march.seconds == (31 * 24 - 1) * 3600
    assert march.days("Europe/Berlin") == 31
    assert april.end == utc(2026, 4, 30, 22)


@pytest.mark.parametrize(
    ("zone", "day", "moment", "shown"),
    [
        # 00:00 becomes 01:00: the day begins there
        ("America/Sao_Paulo", date(2018, 11, 4), utc(2018, 11, 4, 3), "01:00"),
        ("Asia/Beirut", date(2026, 3, 29), utc(2026, 3, 28, 22), "01:00"),
        ("Africa/Cairo", date(2026, 4, 24), utc(2026, 4, 23, 22), "01:00"),
        # 24:00 becomes 23:00: the day begins an hour later
        ("America/Sao_Paulo", date(2018, 2, 18), utc(2018, 2, 18, 3), "00:00"),
        ("Asia/Beirut", date(2026, 10, 25), utc(2026, 10, 24, 22), "00:00"),
        # 01:00 becomes 00:00: of two midnights the first
        ("America/Havana", date(2026, 11, 1), utc(2026, 11, 1, 4), "00:00"),
        # 23:30 becomes 00:30
        ("America/Toronto", date(1919, 3, 31), utc(1919, 3, 31, 4, 30), "00:30"),
        # 30 December 2011 was skipped
        ("Pacific/Apia", date(2011, 12, 30), utc(2011, 12, 30, 10), "00:00"),
    ],
)
def test_a_day_begins_when_clocks_first_show_it(zone, day, moment, shown):
    assert start_of_day(day, zone) == moment
    assert f"{moment.astimezone(ZoneInfo(zone)):%H:%M}" == shown


def test_a_day_that_is_skipped_is_no_period():
    start = utc(2011, 12, 28, 10)
    anchor = Anchor(Cycle.DAYS, 1, date(2011, 12, 28), "Pacific/Apia")
    assert [period.end for period in islice(periods_from(start, anchor), 3)] == [
        utc(2011, 12, 29, 10),
        utc(2011, 12, 30, 10),
        utc(2011, 12, 31, 10),
    ]


def test_a_day_belongs_to_what_begins_on_it():
    zone = "Europe/Berlin"
    begun, changed, ended = utc(2026, 2, 28, 23), utc(2026, 3, 20, 15), utc(2026, 3, 31, 22)
    assert days_between(begun, changed, zone) == 19
    assert days_between(changed, ended, zone) == 12
    assert days_between(begun, ended, zone) == 31
    assert days_between(changed, changed + timedelta(hours=1), zone) == 0


@given(start=STARTS, end=STARTS, cut=STARTS, zone=ZONES)
def test_parts_have_as_many_days_as_the_whole(start, end, cut, zone):
    parts = days_between(start, cut, zone) + days_between(cut, end, zone)
    assert parts == days_between(start, end, zone)


def test_a_part_knows_the_whole_at_both_ends():
    part = Period(utc(2026, 3, 11), utc(2026, 3, 21), utc(2026, 3, 1), utc(2026, 4, 1))
    assert part.is_partial
    assert (part.seconds, part.whole_seconds) == (10 * 86400, 31 * 86400)
    assert (part.days("UTC"), part.whole_days("UTC")) == (10, 31)


@given(start=STARTS, anchor=anchors())
def test_periods_leave_no_gap_and_no_overlap(start, anchor):
    periods = list(islice(periods_from(start, anchor), 15))
    assert periods[0].start == start
    for period, following in pairwise(periods):
        assert period.whole_start <= period.start < period.end == following.start
        assert not following.is_partial


@given(start=STARTS, anchor=anchors())
def test_each_whole_period_holds_the_one_turn_that_it_begins_with(start, anchor):
    number = anchor.number_at(start)
    turns = {anchor.turn(number + step) for step in range(30)}
    for period in islice(periods_from(start, anchor), 12):
        held = {turn for turn in turns if period.whole_start <= turn < period.end}
        assert held == {period.whole_start}
        assert start_of_day(period.end.astimezone(ZoneInfo(anchor.zone)).date(), anchor.zone) == (
            period.end
        )


@given(start=STARTS, anchor=anchors(), stops=st.lists(st.integers(1, 5), max_size=4))
def test_it_does_not_matter_where_they_are_taken_up_again(start, anchor, stops):
    at_once = list(islice(periods_from(start, anchor), sum(stops)))
    piecemeal = []
    for count in stops:
        piecemeal += islice(periods_from(start, anchor), count)
        start = piecemeal[-1].end
    assert piecemeal == at_once


@pytest.mark.parametrize(
    "wrong",
    [
        {"cycle": Cycle.WEEKLY, "day": 8},
        {"day": 0},
        {"day": 32},
        {"month": 13},
        {"cycle": Cycle.DAYS, "count": 0},
    ],
)
def test_an_anchor_refuses_what_no_calendar_has(wrong):
    fields = {"cycle": Cycle.MONTHLY, "day": 1, "origin": date(2026, 1, 1), "zone": "UTC"}
    with pytest.raises(ValueError, match=r"is from 1 to|at least one"):
        Anchor(**fields | wrong)


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
