"""Turns into another program that ends when its parent does, however the parent ends.

A script of its own and not a `preexec_fn`, which is unsafe in a process with threads:
    python -I -S leash.py PARENT SIGNAL USER PROGRAM [ARGUMENT...]
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def leash(*, parent: int, stop_signal: int, user: int) -> None:
    """Become `user`, then ask the kernel for `stop_signal` when `parent` is gone (Linux only)."""
    if user != os.getuid():
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    if sys.platform == "linux":  # after the change of user, which would clear it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)
    if os.getppid() != parent:  # it was gone before we asked
        sys.exit(1)


if __name__ == "__main__":
    leash(parent=int(sys.argv[1]), stop_signal=int(sys.argv[2]), user=int(sys.argv[3]))
    os.execvp(sys.argv[4], sys.argv[4:])  # noqa: S606  no shell wanted
