"""People who ask again until they are answered, and threads that go on until they are told."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
TIMEOUT = 10.0


class Unanswered(Exception):
    """No answer of use for too long; the message says what came instead."""


class Patient:
    """Asks with one key until the answer is 2xx, or one that will not change."""

    def __init__(self, url: str, token: str = "", *, patience: float) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT)
        self._patience = patience

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        signed: Callable[[], dict[str, Any]] | None = None,
    ) -> httpx.Response:
        """`signed` makes content and headers anew for each try. The caller looks at 4xx."""
        pause, deadline = FIRST_PAUSE, time.monotonic() + self._patience
        while True:
            try:
                answer = self._http.request(method, path, json=json, **(signed() if signed else {}))
                said = f"{answer.status_code} {answer.text[:200]}"
                if (
                    not answer.is_server_error
                    and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS
                ):
                    return answer
            except httpx.TransportError as error:
                said = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                raise Unanswered(f"{method} {path}: {said}")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def taken(answer: httpx.Response) -> Any:
    """What a 2xx says; anything else ends the bench."""
    if not answer.is_success:
        said = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        raise Unanswered(f"{said} {answer.text[:300]}")
    return answer.json() if answer.content else None


class Loop:
    """A thread that takes a step again and again, until the last one or until it is stopped."""

    def __init__(self, step: Callable[[], bool], *, pause: float) -> None:
        self.failure: Exception | None = None
        self._step = step
        self._pause = pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the step that is open come to its end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._pause) and self._step():
                pass
        except Exception as error:  # noqa: BLE001 - told by the thread that waits for us
            self.failure = error


@contextmanager
def going_on(loops: Sequence[Loop]) -> Iterator[None]:
    """All of them at once; what ended one is raised when all have come to their end."""
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
    for loop in loops:
        if loop.failure:
            raise loop.failure
