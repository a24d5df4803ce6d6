"""Kill -9 of the parts of an installation, chosen by a seed, each once it has run steadily."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PARTS = {  # by the words of their command line
    "web": ("granian", "wsgi"),
    "stream": ("granian", "asgi"),
    "worker": ("celery", "worker"),
    "beat": ("celery", "beat"),
    "valkey": ("valkey-server",),
    "postgres": ("postgres", "-D"),
}
STEADY = 5.5  # seconds: what falls over again sooner counts as broken, and the fifth time ends it


def moments(
    chosen: random.Random,
    *,
    seconds: float,
    pause: float,
    most: int | None,
    is_over: Callable[[], bool],
) -> Iterator[str]:
    """A part to kill now and then, until the time or the number is used up.

    Never one of the last two: those are still coming back.
    """
    ends = time.monotonic() + seconds
    killed: list[str] = []
    while (most is None or len(killed) < most) and not is_over():
        rest = chosen.uniform(0.5, 1.5) * pause
        if time.monotonic() + rest > ends:
            return
        time.sleep(rest)
        killed.append(chosen.choice(sorted(PARTS.keys() - killed[-2:])))
        yield killed[-1]


def kill(up: int, part: str, *, before: Callable[[int], None]) -> int:
    """Kill the part once it has run steadily; 1 when it was killed, 0 when it was away too long.

    `before` is told its process group, at the last moment.
    """
    deadline = time.monotonic() + 4 * STEADY
    while time.monotonic() < deadline:
        for pid in _tree(up):
            if _is(pid, part) and _age(pid) > STEADY:
                group = os.getpgid(pid)
                before(group)
                os.killpg(group, signal.SIGKILL)
                return 1
        time.sleep(0.05)
    return 0


def _tree(root: int) -> Iterator[int]:
    """The processes below `root`, parents first."""
    try:
        children = Path(f"/proc/{root}/task").glob("*/children")
        found = [int(pid) for file in children for pid in file.read_text().split()]
    except OSError:
        return
    for pid in found:
        yield pid
        yield from _tree(pid)


def _is(pid: int, part: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    return all(word in command for word in PARTS[part])


def _age(pid: int) -> float:
    """Seconds since it was started; 0 when it has ended."""
    try:
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, IndexError):
        return 0.0
    return uptime - started / os.sysconf("SC_CLK_TCK")
