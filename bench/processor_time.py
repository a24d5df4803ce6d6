"""Processor time: of some processes, and of all of them together; and what one holds in memory.

Unlike the clock on the wall, the time of a process hardly minds what else runs.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

NANOSECONDS = 1e9
MOMENT = 0.25  # seconds over which a machine is looked at
QUIET = 0.12  # of all processors: what a machine uses on which nothing happens but the bench


def seconds_of(pids: Iterable[int]) -> float:
    """What these processes have used so far; 0 where the system does not tell (Linux does)."""
    return sum(_nanoseconds(pid) for pid in pids) / NANOSECONDS


def resident_bytes_of(pid: int) -> int:
    """The memory of a process that is its own or in use; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class Patience:
    """Waits for a quiet machine before each measurement, so many seconds at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def wait(self) -> None:
        """Come back when two looks in a row find the processors idle, or patience is over."""
        deadline, quiet = time.monotonic() + self._seconds, 0
        while quiet < 2 and time.monotonic() < deadline:  # noqa: PLR2004
            quiet = quiet + 1 if _busy_share() < QUIET else 0


def _busy_share() -> float:
    """The share of all processors that is used, over a moment."""
    before = _ticks()
    time.sleep(MOMENT)
    used = (_ticks() - before) / os.sysconf("SC_CLK_TCK")
    return used / MOMENT / (os.cpu_count() or 1)


def _ticks() -> int:
    """Clock ticks that all processors have worked so far."""
    try:
        numbers = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    except OSError:
        return 0
    user, nice, system, _, _, *others = map(int, numbers)  # without idle and waiting for disks
    return user + nice + system + sum(others)


def _nanoseconds(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except OSError:
        return 0
