"""A trace of LLM requests as usage events: one CSV row is one request, counted three times."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from aforo.demo.traffic import CUSTOMERS, Event, Segment, bodies_of
from aforo.errors import Unreadable
from aforo.periods import add_months, month_start

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
EVENTS_PER_REQUEST = 3
YEARS = range(1970, 9999)  # a month can be added to each of them
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the trace: its row number from 0, its time, its tokens."""

    row: int
    at: datetime
    input_tokens: int
    output_tokens: int

    def events(self, stem: str) -> Iterator[Event]:
        """Its three usage events; their keys name the file, the row and the metric."""
        for metric, quantity in (
            ("requests", 1),
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
        ):
            yield {
                "customerId": f"cust_{self.row % CUSTOMERS + 1}",
                "metricName": metric,
                "quantity": quantity,
                "occurredAt": self.at.isoformat(),
                "idempotencyKey": f"{stem}-{self.row}-{metric}",
            }


class Trace:
    """A CSV file with the three columns, read again for each month: any size, constant memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.title = path.name
        self._last: dict[datetime, datetime] = {}
        self._counts: Counter[datetime] = Counter()
        for request in self:
            month = month_start(request.at)
            self._last[month] = max(request.at, self._last.get(month, request.at))
            self._counts[month] += 1
        if not self._last:
            raise Unreadable(f"{path} holds no requests")
        self.start = min(self._last)
        self.end = add_months(max(self._last), 1)

    def __iter__(self) -> Iterator[Request]:
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            try:
                missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
                if missing:
                    raise Unreadable(f"{self.path} has no column {', '.join(missing)}")
                for row, fields in enumerate(reader):
                    yield _request(row, fields)
            except UnicodeDecodeError:
                raise Unreadable(f"{self.path} is no CSV: it holds more than text") from None
            except (csv.Error, ValueError) as error:
                raise Unreadable(f"{self.path}, line {reader.line_num}: {error}") from None

    def segments(self) -> Iterator[Segment]:
        """One per month, with the clock at the month's last row."""
        for month in sorted(self._last):
            yield Segment(
                self._last[month], EVENTS_PER_REQUEST * self._counts[month], self._bodies(month)
            )

    def _bodies(self, month: datetime) -> Iterator[bytes]:
        events = (
            event
            for request in self
            if month_start(request.at) == month
            for event in request.events(self.path.stem)
        )
        yield from bodies_of(events)


def _request(row: int, fields: Mapping[str, str | None]) -> Request:
    """One row. Raises ValueError that names the column at fault."""
    at, read, written = COLUMNS
    return Request(
        row,
        _read(fields, at, _moment),
        _read(fields, read, _count),
        _read(fields, written, _count),
    )


def _read(fields: Mapping[str, str | None], column: str, parse: Callable[[str], T]) -> T:
    value = fields[column]
    if value is None:
        raise ValueError(f"column {column} is missing")
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f"column {column}: {error}") from None


def _moment(text: str) -> datetime:
    """A time in UTC, which is also taken for the zone where none is given."""
    moment = datetime.fromisoformat(text)
    if moment.year not in YEARS:
        raise ValueError(f"the year {moment.year} cannot be billed")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _count(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is not a whole number of tokens")
    return int(text)
