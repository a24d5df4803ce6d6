"""Made-up traffic of one month, the same for the same seed, with everything that goes wrong."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from aforo.demo.traffic import CUSTOMERS, Event, Segment, bodies_of

MONTH = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 31
REQUESTS_PER_DAY = 120
_BUSY_FROM, _BUSY_UNTIL = 7, 19  # hours in which most of a working day's requests come
_MODELS = ("small", "medium", "large")


class Generated:
    """Day by day: requests of five customers, and each day some that a gate must stop."""

    title = "generated traffic"
    start = MONTH
    end = MONTH.replace(month=2)

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same traffic each time
        self._sent = 0

    def segments(self) -> Iterator[Segment]:
        for number in range(DAYS):
            day = MONTH + timedelta(days=number)
            events = list(self._day(day))
            clock = day + timedelta(days=1, seconds=-1)
            odd = list(self._odd(events, clock, number))
            yield Segment(clock, len(events) + len(odd), self._bodies(events + odd))

    def _day(self, day: datetime) -> Iterator[Event]:
        busy = REQUESTS_PER_DAY if day.weekday() < 5 else REQUESTS_PER_DAY // 3  # noqa: PLR2004
        for _ in range(busy):
            hour = self._random.triangular(_BUSY_FROM - 6, _BUSY_UNTIL + 4, 14)
            yield from self._request(day + timedelta(hours=hour))

    def _request(self, at: datetime) -> Iterator[Event]:
        self._sent += 1
        customer = min(int(self._random.expovariate(0.6)), CUSTOMERS - 1) + 1
        tokens = int(self._random.lognormvariate(7.5, 1.1))
        for metric, quantity in (
            ("requests", 1),
            ("input_tokens", tokens),
            ("output_tokens", tokens // self._random.randint(5, 40)),
        ):
            yield {
                "customerId": f"cust_{customer}",
                "metricName": metric,
                "quantity": quantity,
                "occurredAt": at.isoformat(),
                "idempotencyKey": f"demo-{self._sent}-{metric}",
                "metadata": {"model": _MODELS[self._sent % len(_MODELS)]},
            }

    def _odd(self, events: list[Event], clock: datetime, day: int) -> Iterator[Event]:
        """Repeats, events out of their time, unknown names, impossible quantities, half events."""
        yield from self._random.sample(events, k=min(20, len(events)))
        yield self._variant(events, "ahead", day, occurredAt=_iso(clock + timedelta(minutes=10)))
        yield self._variant(events, "ancient", day, occurredAt=_iso(clock - timedelta(days=100)))
        yield self._variant(events, "metric", day, metricName="gpu_seconds")
        yield self._variant(events, "customer", day, customerId="cust_nobody")
        yield self._variant(events, "negative", day, quantity=-1)
        yield self._variant(events, "calendar", day, occurredAt=10**18)
        yield self._variant(events, "early", day, occurredAt=_iso(MONTH - timedelta(hours=1)))
        yield {"customerId": "cust_1", "idempotencyKey": f"demo-half-{day}"}
        if day > 1:
            late = clock - timedelta(hours=30)
            yield self._variant(events, "late", day, occurredAt=_iso(late))
            reused = {**events[0], "quantity": 999_999}  # the key of another event
            yield reused

    def _variant(self, events: list[Event], kind: str, day: int, **changes: object) -> Event:
        event = self._random.choice(events)
        return {**event, "idempotencyKey": f"demo-{kind}-{day}", **changes}

    def _bodies(self, events: list[Event]) -> Iterator[bytes]:
        yield from bodies_of(events)
        yield b'{"events": [{"customerId": "cust_1", "metricName": '  # cut off on its way


def _iso(moment: datetime) -> str:
    return moment.isoformat()
