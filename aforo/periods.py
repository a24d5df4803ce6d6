"""Billing periods: half-open, counted from an anchor, placed in a time zone, stored in UTC."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

_MONTHS = {"MONTHLY": 1, "QUARTERLY": 3, "ANNUAL": 12}
_WEEK = 7
_INSTANT = timedelta(microseconds=1)


class Cycle(StrEnum):
    """How often periods turn; DAYS and MONTHS take a count."""

    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    ANNUAL = "ANNUAL"
    DAYS = "DAYS"
    MONTHS = "MONTHS"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where periods turn: at the beginning of a local day of `zone`.

    `day` is an ISO weekday (1 to 7) of weeks, and a day of the month (31: the last one) of months.
    `month` (1 to 12) is where quarters and years turn; absent, the month of `origin`. Every so
    many days or months are counted from `origin`, a local date.
    """

    cycle: Cycle
    day: int
    origin: date
    zone: str
    count: int = 1
    month: int | None = None

    def __post_init__(self) -> None:
        last = _WEEK if self.cycle == Cycle.WEEKLY else 31
        if not 1 <= self.day <= last:
            raise ValueError(f"the anchor day of {self.cycle} is from 1 to {last}")
        if self.month is not None and not 1 <= self.month <= 12:  # noqa: PLR2004 - of a year
            raise ValueError("an anchor month is from 1 to 12")
        if self.count < 1:
            raise ValueError("a period lasts at least one day or month")

    def turn(self, number: int) -> datetime:
        """The turn with this number, in UTC. Each is counted anew, never from the one before."""
        return start_of_day(self._day_of(number), self.zone)

    def number_at(self, moment: datetime) -> int:
        """The number of the last turn that is not after `moment`."""
        number = self._near(moment.astimezone(ZoneInfo(self.zone)).date())
        while self.turn(number) > moment:
            number -= 1
        while self.turn(number + 1) <= moment:
            number += 1
        return number

    def _day_of(self, number: int) -> date:
        if self._step_in_days:
            return self._first_day + timedelta(days=number * self._step_in_days)
        year, index = divmod(self._first_month + number * self._step_in_months, 12)
        last = monthrange(year, index + 1)[1]
        return date(year, index + 1, min(self.day, last))

    def _near(self, day: date) -> int:
        if self._step_in_days:
            return (day - self._first_day).days // self._step_in_days
        return (_month_of(day) - self._first_month) // self._step_in_months

    @property
    def _step_in_days(self) -> int:
        match self.cycle:
            case Cycle.WEEKLY:
                return _WEEK
            case Cycle.DAYS:
                return self.count
            case _:
                return 0

    @property
    def _step_in_months(self) -> int:
        return _MONTHS.get(self.cycle, self.count)

    @property
    def _first_day(self) -> date:
        if self.cycle == Cycle.DAYS:
            return self.origin
        return self.origin + timedelta(days=self.day - self.origin.isoweekday())

    @property
    def _first_month(self) -> int:
        """As a number of months since the year 0."""
        if self.month is None:
            return _month_of(self.origin)
        return self.origin.year * 12 + self.month - 1


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) in UTC, and the whole period that it is, or is a part of.

    A part's share of the whole is `seconds / whole_seconds`, or `days / whole_days`.
    """

    start: datetime
    end: datetime
    whole_start: datetime
    whole_end: datetime | None = None  # None: it ends where the whole one does

    @property
    def seconds(self) -> Decimal:
        return _seconds(self.end - self.start)

    @property
    def whole_seconds(self) -> Decimal:
        return _seconds((self.whole_end or self.end) - self.whole_start)

    @property
    def is_partial(self) -> bool:
        return self.start != self.whole_start or self.whole_end is not None

    def days(self, zone: str) -> int:
        """Its calendar days in `zone`, as `days_between` counts them."""
        return days_between(self.start, self.end, zone)

    def whole_days(self, zone: str) -> int:
        """The calendar days in `zone` of the whole period."""
        return days_between(self.whole_start, self.whole_end or self.end, zone)


def periods_from(start: datetime, anchor: Anchor) -> Iterator[Period]:
    """Periods without end from `start`, of which the first may be a part.

    They do not depend on where they are taken up again: from any turn on they are the same.
    """
    number = anchor.number_at(start)
    whole_start, begin = anchor.turn(number), start
    while True:
        number += 1
        end = anchor.turn(number)
        if end > begin:  # not of a day that the clocks of the place skip
            yield Period(start=begin, end=end, whole_start=whole_start)
            whole_start = begin = end


def monthly(*, start: datetime, anchor_day: int, zone: str) -> Iterator[Period]:
    """Months from `start`, turning at 00:00 local time on `anchor_day` (31: the last day).

    Ends are counted from the anchor, not from the previous end: 31 Jan, 28 Feb, 31 Mar.
    """
    origin = start.astimezone(ZoneInfo(zone)).date()
    return periods_from(start, Anchor(Cycle.MONTHLY, anchor_day, origin, zone))


def days_between(start: datetime, end: datetime, zone: str) -> int:
    """Calendar days of [start, end) in `zone`: the day of the start counts, that of the end not.

    A day belongs to what begins on it, however late, so that the parts of a period have together
    as many days as the whole.
    """
    local = ZoneInfo(zone)
    return (end.astimezone(local).date() - start.astimezone(local).date()).days


def start_of_day(day: date, zone: str) -> datetime:
    """The moment, in UTC, at which clocks in `zone` first show this day: mostly 00:00.

    Clocks that skip 00:00 first show the day right after the change. Of a midnight that they show
    twice it is the first; of a day that they skip, the moment at which the next one begins.
    """
    local = ZoneInfo(zone)
    midnight = datetime.combine(day, time(), local)
    moment = midnight.astimezone(UTC)
    if moment.astimezone(local).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return moment
    return _change_between(midnight.replace(fold=1).astimezone(UTC), moment, local)


def month_start(moment: datetime) -> datetime:
    """00:00 UTC on the first day of the month that holds `moment`."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def add_months(month: datetime, count: int) -> datetime:
    """The first of the month `count` months after the first of `month`."""
    number = month.year * 12 + month.month - 1 + count
    return month_start(month).replace(year=number // 12, month=number % 12 + 1)


def _change_between(before: datetime, after: datetime, local: ZoneInfo) -> datetime:
    """The moment in (before, after] at which the clocks of a place are set forward."""
    offset = before.astimezone(local).utcoffset()
    while after - before > _INSTANT:
        middle = before + (after - before) / 2
        if middle.astimezone(local).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _month_of(day: date) -> int:
    return day.year * 12 + day.month - 1


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)).scaleb(-6)
