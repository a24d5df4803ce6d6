"""Waiting in tests: until something is true or its time is over, never for a fixed time."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(is_true: Callable[[], object], *, within: float = 10.0) -> bool:
    """Whether it becomes true in `within` seconds."""
    deadline = time.monotonic() + within
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but is not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"
