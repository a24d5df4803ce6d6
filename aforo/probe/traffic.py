"""What the probe sends: made from numbers alone, so that it is known without being remembered.

A client's batch `n` is always the same. What must become of its events follows from their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from aforo.demo.seed import UNITS
from aforo.demo.traffic import CUSTOMERS

METRICS = tuple(UNITS)
DOORS = ("/v1/ingest/batch", "/v1/ingest/events", "/v1/ingest/events/batch", "/v1/ingest")
GOOD = 14  # events of a batch that are counted
REPEATS = 3  # of the batch before, which must not be
UNKNOWN = 2  # one of no metric, one of no customer: dead letters
EVENTS_OF_A_BATCH = GOOD + REPEATS + UNKNOWN
LATE_BY = timedelta(hours=30)
_STEP = Decimal("0.000000000001")

Event = dict[str, object]


class Expected(NamedTuple):
    """What acknowledged batches must have become, in events."""

    counted: int
    duplicates: int
    dead: int

    def __add__(self, other: "Expected") -> "Expected":  # type: ignore[override]
        return Expected(*(one + more for one, more in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Stream:
    """The batches of one client of one run; `prefix` begins every key."""

    run: str
    client: int
    start: datetime

    @property
    def prefix(self) -> str:
        return f"probe-{self.run}-{self.client}-"

    def batches(self) -> Iterator[tuple[str, bytes]]:
        """Door and body of each batch, without end."""
        number = 0
        while True:
            number += 1
            yield DOORS[number % len(DOORS)], msgspec.json.encode({"events": self.batch(number)})

    def batch(self, number: int) -> list[Event]:
        """Batch `number`, from 1: new events, repeats of the batch before, and two bad ones."""
        events = [self._good(number, index) for index in range(GOOD)]
        if number > 1:
            events += [self._good(number - 1, index) for index in range(REPEATS)]
        return [
            *events,
            self._good(number, GOOD) | {"metricName": "never_heard_of"},
            self._good(number, GOOD + 1) | {"customerId": "nobody"},
        ]

    def expected(self, batches: int) -> Expected:
        """What `batches` acknowledged batches must have become."""
        return Expected(GOOD * batches, REPEATS * max(0, batches - 1), UNKNOWN * batches)

    def sums(self, batches: int) -> dict[str, Decimal]:
        """The quantity by metric that `batches` acknowledged batches add to the totals."""
        sums = dict.fromkeys(METRICS, Decimal(0))
        for number in range(1, batches + 1):
            for index in range(GOOD):
                metric = METRICS[index % len(METRICS)]
                sums[metric] += 1 if metric == "requests" else self._quantity(number, index)
        return sums

    def _good(self, number: int, index: int) -> Event:
        occurred = self.start - (LATE_BY if index == 0 else timedelta(seconds=number % 3_000))
        return {
            "customerId": f"cust_{(number + index) % CUSTOMERS + 1}",
            "metricName": METRICS[index % len(METRICS)],
            "quantity": str(self._quantity(number, index)),
            "occurredAt": occurred.isoformat(),
            "idempotencyKey": f"{self.prefix}{number}-{index}",
            "metadata": {"batch": number},
        }

    def _quantity(self, number: int, index: int) -> Decimal:
        """Digits at both ends, so that a lost one shows."""
        return Decimal(1 + (number * 37 + index) % 5_000) + _STEP * (number % 997)
