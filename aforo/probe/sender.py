"""Clients that send until they have an answer, as the public ones do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Thread
from typing import Self

import httpx

from aforo.probe.traffic import Stream

TIMEOUT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0
TAKEN = {HTTPStatus.ACCEPTED, HTTPStatus.UNPROCESSABLE_ENTITY}


class Unanswered(Exception):
    """A batch got no answer for too long; the message says what came instead."""


@dataclass(slots=True)
class Acknowledged:
    """What one client knows: all batches up to `batches` were answered 202."""

    batches: int = 0
    requests: int = 0
    retries: int = 0


class Client:
    """One thread with batches of its own, each sent until it is answered."""

    def __init__(
        self, url: str, key: str, stream: Stream, *, pause: float, patience: float
    ) -> None:
        self.stream = stream
        self.acknowledged = Acknowledged()
        self.failure: Exception | None = None
        self._url = url
        self._key = key
        self._pause = pause
        self._patience = patience
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=stream.prefix, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let the batch that is open have its answer, and end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            with httpx.Client(base_url=self._url, timeout=TIMEOUT, headers=headers) as http:
                for door, body in self.stream.batches():
                    self._send(http, door, body)
                    self.acknowledged.batches += 1
                    if self._stopping.wait(self._pause):
                        return
        except Exception as error:  # noqa: BLE001  told by the thread that waits for us
            self.failure = error

    def _send(self, http: httpx.Client, door: str, body: bytes) -> None:
        """The same bytes again after a refusal that passes or a broken connection."""
        pause, deadline = FIRST_PAUSE, time.monotonic() + self._patience
        while True:
            said, wait = self._try(http, door, body)
            if said is None:
                return
            if time.monotonic() > deadline:
                raise Unanswered(f"no answer to {door} within {self._patience:.0f} s: {said}")
            self.acknowledged.retries += 1
            time.sleep(wait or pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _try(self, http: httpx.Client, door: str, body: bytes) -> tuple[str | None, float]:
        """None once it was taken, else what came instead and how long to wait."""
        self.acknowledged.requests += 1
        try:
            answer = http.post(door, content=body)
        except httpx.TransportError as error:
            return f"{type(error).__name__}: {error}", 0.0
        if answer.status_code in TAKEN:
            return None, 0.0
        passes = answer.is_server_error or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
        if not passes:
            raise Unanswered(f"{door} answered {answer.status_code}: {answer.text[:200]}")
        return f"{answer.status_code}", float(answer.headers.get("Retry-After", 0))


@contextmanager
def sending(clients: list[Client]) -> Iterator[list[Client]]:
    """All of them at once; left, each has an answer to all that it sent."""
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stop()
    for client in clients:
        if client.failure:
            raise client.failure
