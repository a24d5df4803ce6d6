"""Clients under load: threads that send batches and try again, as the public clients do."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from threading import Event, Lock, Thread
from typing import Self

import httpx
import msgspec

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per request buries what failed

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 2, 1, tzinfo=UTC)
CLOCK = datetime(2026, 1, 20, 12, tzinfo=UTC)
REQUESTS_PER_BATCH = 15
BETWEEN_BATCHES = 0.08  # seconds: a load, not a flood, since all of it is proven afterwards
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0  # between attempts
PATIENCE = 180.0  # seconds for one batch
METRICS = ("requests", "input_tokens", "output_tokens")


@dataclass(slots=True)
class Acknowledged:
    """What was answered 202: quantities by key, customer and metric, and every status seen."""

    keys: dict[str, int] = field(default_factory=dict)
    sums: Counter[tuple[str, str]] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0  # requests that got no answer


class Load:
    """Client threads, each with batches of its own; every batch is sent until it is answered."""

    def __init__(self, url: str, key: str, *, name: str = "load", clients: int = 3) -> None:
        self._url = url
        self._key = key
        self._lock = Lock()
        self._stopping = Event()
        self._failures: list[BaseException] = []
        self.done = Acknowledged()
        self._threads = [
            Thread(target=self._send_all, args=(f"{name}-{number}",)) for number in range(clients)
        ]

    @property
    def count(self) -> int:
        """Events that were answered 202 until now."""
        return len(self.done.keys)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let every client finish its batch; what is open then has an answer."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _send_all(self, client: str) -> None:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            with httpx.Client(base_url=self._url, timeout=10, headers=headers) as http:
                for events in _batches(client):
                    self._send(http, events)
                    if self._stopping.wait(BETWEEN_BATCHES):
                        return
        except BaseException as error:  # noqa: BLE001  raised again where the load is left
            self._failures.append(error)

    def _send(self, http: httpx.Client, events: list[dict[str, object]]) -> None:
        """The same bytes again after a 5xx or a broken connection, with longer pauses."""
        encoded = body(events)
        pause, deadline = FIRST_PAUSE, time.monotonic() + PATIENCE
        while not self._is_accepted(http, encoded):
            assert time.monotonic() < deadline, f"no 202 within {PATIENCE} s: {self.done.statuses}"
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        with self._lock:
            for event in events:
                self.done.keys[event["idempotencyKey"]] = event["quantity"]
                self.done.sums[event["customerId"], event["metricName"]] += event["quantity"]

    def _is_accepted(self, http: httpx.Client, encoded: bytes) -> bool:
        try:
            answer = http.post("/v1/ingest/batch", content=encoded)
        except httpx.TransportError:
            with self._lock:
                self.done.broken += 1
            return False
        with self._lock:
            self.done.statuses[answer.status_code] += 1
        if answer.is_server_error:
            return False
        assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
        assert answer.json()["accepted"] == 3 * REQUESTS_PER_BATCH
        return True


def _batches(client: str) -> Iterator[list[dict[str, object]]]:
    number = 0
    while True:
        number += 1
        yield [
            event
            for index in range(REQUESTS_PER_BATCH)
            for event in request(f"{client}-{number}-{index}", number * REQUESTS_PER_BATCH + index)
        ]


def request(key: str, number: int) -> list[dict[str, object]]:
    """One request as three events; what it counts follows from its number."""
    quantities = (1, 1 + number * 37 % 5_000, 1 + number * 11 % 300)
    at = START + timedelta(minutes=number % 25_000)
    return [
        {
            "customerId": f"cust_{number % 5 + 1}",
            "metricName": metric,
            "quantity": quantity,
            "occurredAt": at.isoformat(),
            "idempotencyKey": f"{key}-{metric}",
        }
        for metric, quantity in zip(METRICS, quantities, strict=True)
    ]


def body(events: list[dict[str, object]]) -> bytes:
    return msgspec.json.encode({"events": events})
