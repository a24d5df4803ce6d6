"""Steps shown while they are waited for: a spinner in a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status


class Steps:
    """A list of steps on the screen, each with the seconds that it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("", console=console, spinner="line")
        self._step = ""
        self._began_at = 0.0

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._status.stop()

    def begin(self, step: str) -> None:
        """Name what is being waited for now; the step before is done."""
        self._finish()
        self._step, self._began_at = step, time.monotonic()
        self._status.update(step)

    def _finish(self) -> None:
        if self._step:
            seconds = time.monotonic() - self._began_at
            self._console.print(f"{seconds:6.1f} s  {self._step}", highlight=False)
        self._step = ""
