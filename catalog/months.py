"""Months from a moment on: the same local day and time, or the last day where a month is short."""

from calendar import monthrange
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def months_after(moment: datetime, count: int, zone: str) -> datetime:
    """The moment, in UTC, `count` months after `moment` on the calendar of `zone`."""
    local = moment.astimezone(ZoneInfo(zone))
    year, month = divmod(local.year * 12 + local.month - 1 + count, 12)
    day = min(local.day, monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(UTC)


def months_in(start: datetime, end: datetime, zone: str) -> int:
    """How many months [start, end) reaches into, at least one: a year has twelve."""
    begin, finish = start.astimezone(ZoneInfo(zone)), end.astimezone(ZoneInfo(zone))
    count = (finish.year - begin.year) * 12 + finish.month - begin.month
    if months_after(start, count, zone) < end:
        count += 1
    return max(1, count)
