"""What the demonstration sends: segments of time, each with the clock's time and its bodies."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol

import msgspec

Event = dict[str, object]
CUSTOMERS = 5  # cust_1 to cust_5
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Segment:
    """Bodies to send while the sandbox's clock is frozen at `clock`."""

    clock: datetime
    event_count: int
    bodies: Iterator[bytes]


class Traffic(Protocol):
    """A source of segments in order of time, from the month of `start` to the instant of `end`."""

    title: str
    start: datetime
    end: datetime

    def segments(self) -> Iterator[Segment]: ...


def bodies_of(events: Iterable[Event]) -> Iterator[bytes]:
    """Requests of `POST /v1/ingest/batch`, `BATCH` events each."""
    waiting = iter(events)
    while batch := list(islice(waiting, BATCH)):
        yield msgspec.json.encode({"events": batch})
