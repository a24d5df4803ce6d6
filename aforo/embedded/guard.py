"""Waits until its parent is gone, then ends every process group it was told of.

The parent's children hear of its death through their leash, but not the children's children (the
pool of a worker that was itself killed), and macOS has no leash. A script of its own, which reads
one order per line from its parent, and cannot be kept from its work by a signal to the parent:
    watch GROUP SIGNAL | forget GROUP | remove FOLDER
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable

PATIENCE = 10.0  # seconds for all to end by themselves; a worker ends its tasks in that time


def send(group: int, number: int) -> bool:
    """Signal a process group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # the latter on macOS, of the dead
        return False
    return True


def end(groups: dict[int, int]) -> None:
    """Ask each group to stop, the last started first; kill what has not after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    for group, stop_signal in reversed(groups.items()):
        send(group, stop_signal)
        while send(group, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
    for group in groups:
        send(group, signal.SIGKILL)


def listen(orders: Iterable[str]) -> tuple[dict[int, int], list[str]]:
    """Follow the parent's orders until it is gone; return its groups and its folders."""
    groups: dict[int, int] = {}
    folders: list[str] = []
    for order in orders:
        match order.rstrip("\n").split(" ", 1):
            case ["watch", rest]:
                group, stop_signal = rest.split()
                groups[int(group)] = int(stop_signal)
            case ["forget", group]:
                groups.pop(int(group), None)
            case ["remove", folder]:
                folders.append(folder)
    return groups, folders


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups, folders = listen(sys.stdin)
    end(groups)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
