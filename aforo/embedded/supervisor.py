"""Keeps programs running: starts them in order, starts again what falls over, stops them all."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from aforo.embedded.processes import Child, Guard, Program, StackError

RESTART_AFTER = (0.2, 1.0, 3.0, 6.0)  # seconds; the fifth failure in a row is the last
STEADY = 5.0  # seconds of running that make earlier failures forgotten
TICK = 0.05
START_WITHIN = 120.0  # seconds; a busy machine is slow, not broken


class Stopped(Exception):
    """Somebody asked us to stop while we were still starting."""


class ProgramFailed(StackError):
    """A program ended that should not have; the message ends with the tail of its log."""

    def __init__(self, child: Child, what: str) -> None:
        super().__init__(f"{child.program.name} {what}:\n{child.last_words()}")


class Kept:
    """One program kept running, and how often in a row it fell over."""

    def __init__(self, program: Program, start: Callable[[Program], Child]) -> None:
        self._start = start
        self._failures = 0
        self._restart_at: float | None = None
        self.starts = 1
        self.started_at = time.monotonic()
        self.child = start(program)

    def look(self) -> None:
        """See whether it runs; if not, start it again when its pause is over."""
        now = time.monotonic()
        if self.child.is_running():
            if now - self.started_at > STEADY:
                self._failures = 0
        elif self._restart_at is None:
            self._restart_at = now + self._pause()
        elif now >= self._restart_at:
            self._restart_at = None
            self.started_at = now
            self.child = self._start(self.child.program)
            self.starts += 1

    def _pause(self) -> float:
        self._failures += 1
        if self._failures > len(RESTART_AFTER):
            raise ProgramFailed(self.child, f"fell over {self._failures} times in a row")
        return RESTART_AFTER[self._failures - 1]


class Supervisor:
    """Owns all children. One thread starts, watches and stops them.

    That has to be one thread: the kernel takes the end of the thread that started a child for the
    end of its parent. Others may read `kept`, and ask to stop by setting `stopping`.
    """

    def __init__(self, *, logs: Path, guard: Guard, stopping: Event) -> None:
        self._logs = logs
        self._guard = guard
        self._stopping = stopping
        self.kept: dict[str, Kept] = {}

    def run(self, program: Program) -> None:
        """Run `program` to its end, which must be a good one."""
        child = self._start(program)
        try:
            while child.is_running():
                self._pause()
        except Stopped:
            child.kill()
            raise
        if child.exit_code:
            raise ProgramFailed(child, f"ended with exit code {child.exit_code}")

    def keep(self, program: Program) -> None:
        """Start `program`; from now on it is watched and stopped with the others."""
        self.kept[program.name] = Kept(program, self._start)

    def wait_until(self, is_ready: Callable[[], bool], what: str) -> None:
        """Wait for an answer, while nothing that is kept may fall over."""
        deadline = time.monotonic() + START_WITHIN
        while not is_ready():
            for kept in self.kept.values():
                if not kept.child.is_running():
                    raise ProgramFailed(kept.child, "ended at once")
            if time.monotonic() > deadline:
                raise StackError(f"{what} within {START_WITHIN:.0f} s; see {self._logs}{os.sep}")
            self._pause()

    def watch(self) -> None:
        """Start again what falls over, until asked to stop."""
        while not self._stopping.wait(TICK):
            for kept in self.kept.values():
                kept.look()

    def stop(self, *names: str) -> None:
        """Stop these together: ask all, wait for each within its time, kill what is left."""
        children = [self.kept[name].child for name in names if name in self.kept]
        for child in children:
            child.ask_to_stop()
        asked_at = time.monotonic()
        for child in children:
            while child.is_running():
                if time.monotonic() - asked_at > child.program.stop_within:
                    child.kill()
                time.sleep(TICK)

    def _start(self, program: Program) -> Child:
        return Child(program, logs=self._logs, guard=self._guard)

    def _pause(self) -> None:
        if self._stopping.wait(TICK):
            raise Stopped
