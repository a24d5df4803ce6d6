"""Billing periods: half-open, counted from an anchor, placed in a time zone, stored in UTC."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in UTC; `whole_start` is where a full period would have begun.

    A first period that starts between two anchors is partial: its share of the full one is
    `seconds / whole_seconds`.
    """

    start: datetime
    end: datetime
    whole_start: datetime

    @property
    def seconds(self) -> Decimal:
        return _seconds(self.end - self.start)

    @property
    def whole_seconds(self) -> Decimal:
        return _seconds(self.end - self.whole_start)

    @property
    def is_partial(self) -> bool:
        return self.start != self.whole_start


def monthly(*, start: datetime, anchor_day: int, zone: str) -> Iterator[Period]:
    """Months from `start`, turning at 00:00 local time on `anchor_day` (31: the last day).

    Ends are counted from the anchor, not from the previous end: 31 Jan, 28 Feb, 31 Mar.
    """
    local = start.astimezone(ZoneInfo(zone))
    month = local.year * 12 + local.month - 1
    if _anchor(month, anchor_day, zone) > start:
        month -= 1
    begin = start
    while True:
        whole_start, end = _anchor(month, anchor_day, zone), _anchor(month + 1, anchor_day, zone)
        yield Period(start=begin, end=end, whole_start=whole_start)
        begin, month = end, month + 1


def month_start(moment: datetime) -> datetime:
    """00:00 UTC on the first day of the month that holds `moment`."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def add_months(month: datetime, count: int) -> datetime:
    """The first of the month `count` months after the first of `month`."""
    number = month.year * 12 + month.month - 1 + count
    return month_start(month).replace(year=number // 12, month=number % 12 + 1)


def _anchor(month: int, day: int, zone: str) -> datetime:
    year, month_index = divmod(month, 12)
    last = monthrange(year, month_index + 1)[1]
    local = datetime(year, month_index + 1, min(day, last), tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC)


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)).scaleb(-6)
