from datetime import UTC, datetime

import pytest

from catalog.months import months_after, months_in


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "count", "zone", "after"),
    [
        (utc(2026, 1, 31), 1, "UTC", utc(2026, 2, 28)),
        (utc(2026, 1, 31), 2, "UTC", utc(2026, 3, 31)),
        (utc(2026, 11, 30, 8), 3, "UTC", utc(2027, 2, 28, 8)),
        (utc(2026, 10, 1, 4), 3, "America/New_York", utc(2027, 1, 1, 5)),
        (utc(2026, 5, 1), 0, "UTC", utc(2026, 5, 1)),
    ],
)
def test_months_keep_the_local_day_and_time(moment, count, zone, after):
    assert months_after(moment, count, zone) == after


@pytest.mark.parametrize(
    ("end", "count"),
    [
        (utc(2026, 1, 16), 1),
        (utc(2026, 2, 15), 1),
        (utc(2026, 2, 16), 2),
        (utc(2027, 1, 15), 12),
        (utc(2029, 1, 15), 36),
    ],
)
def test_a_month_that_is_begun_counts(end, count):
    assert months_in(utc(2026, 1, 15), end, "UTC") == count
