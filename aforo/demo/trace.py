"""A trace of LLM requests as usage events: one CSV row is one request, counted three times."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aforo.demo.seed import CUSTOMERS
from aforo.demo.traffic import Event, Segment, bodies_of
from aforo.errors import Unreadable
from aforo.periods import add_months, month_start

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
EVENTS_PER_REQUEST = 3


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
        with self.path.open(newline="") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise Unreadable(f"{self.path} has no column {', '.join(sorted(missing))}")
            for row, fields in enumerate(reader):
                yield self._request(row, fields)

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

    def _request(self, row: int, fields: dict[str, str]) -> Request:
        try:
            at, read, written = (fields[name] for name in COLUMNS)
            moment = datetime.fromisoformat(at)
            zoned = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            return Request(row, zoned, int(read), int(written))
        except (TypeError, ValueError) as error:
            raise Unreadable(f"{self.path}, row {row}: {error}") from None
