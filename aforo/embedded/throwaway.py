"""Servers for one test run or one command: fast, private, gone afterwards, even after a kill.

`python -m aforo.embedded.throwaway COMMAND...` runs a command among them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from aforo.embedded.home import Home
from aforo.embedded.processes import Guard
from aforo.embedded.servers import STATIC_FROM_PACKAGES, Servers
from aforo.embedded.supervisor import Supervisor


@contextmanager
def throwaway_servers() -> Iterator[dict[str, str]]:
    """Start what `DATABASE_URL` and `REDIS_URL` do not name; give the settings that lead there."""
    home = Home(Path(tempfile.mkdtemp(prefix="aforo-test-")))
    home.prepare()
    guard = Guard()
    guard.remove(home.root)
    supervisor = Supervisor(logs=home.logs, guard=guard, stopping=Event())
    try:
        servers = Servers(home, durable=False, guard=guard)
        servers.start(supervisor, report=lambda _: None)
        yield servers.environment() | {
            "SECRET_KEY": "only-for-tests",
            "STATIC_ROOT": str(home.folder("static")),
            **STATIC_FROM_PACKAGES,
        }
    finally:
        supervisor.stop("postgres", "valkey")
        guard.dismiss()


if __name__ == "__main__":
    with throwaway_servers() as settings:
        sys.exit(subprocess.run(sys.argv[1:], env=os.environ | settings, check=False).returncode)
