"""What the drain works out of an event once."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.ingest.arrivals import isoformat

ZERO_OFFSETS = [UTC, ZoneInfo("UTC"), timezone(timedelta(0), "Z")]


@given(st.datetimes(timezones=st.sampled_from(ZERO_OFFSETS)))
def test_a_time_is_spelled_as_the_standard_library_does(moment):
    assert isoformat(moment) == moment.isoformat()


@pytest.mark.parametrize("microsecond", [0, 1, 500_000, 999_999])
def test_a_fraction_of_a_second_has_six_digits_or_none(microsecond):
    moment = datetime(2026, 3, 15, 12, 0, 0, microsecond, tzinfo=UTC)
    assert isoformat(moment) == moment.isoformat()
