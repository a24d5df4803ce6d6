"""Servers for one test run or one command: fast, private, gone afterwards, even after a kill.

`python -m aforo.embedded.throwaway [--durable] [--set NAME=VALUE]... COMMAND...` runs a command
among them; `--durable` writes to disk as `aforo up` does, `--set` changes a setting of PostgreSQL.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import MappingProxyType

from aforo.embedded.home import Home
from aforo.embedded.premade import copy_cluster
from aforo.embedded.processes import Guard, leashed
from aforo.embedded.servers import STATIC_FROM_PACKAGES, Servers
from aforo.embedded.supervisor import Supervisor

NOTHING_SET: Mapping[str, str] = MappingProxyType({})


@contextmanager
def throwaway_servers(
    *,
    durable: bool = False,
    settings: Mapping[str, str] = NOTHING_SET,
    like: Path | None = None,
) -> Iterator[dict[str, str]]:
    """Start what `DATABASE_URL` and `REDIS_URL` do not name; give the settings that lead there.

    `like` is a home whose cluster ours starts as a copy of.
    """
    home = Home(Path(tempfile.mkdtemp(prefix="aforo-test-")))
    home.prepare()
    if like:
        copy_cluster(like, home.root)
    guard = Guard()
    guard.remove(home.root)
    supervisor = Supervisor(logs=home.logs, guard=guard, stopping=Event())
    try:
        servers = Servers(home, durable=durable, guard=guard, settings=settings)
        servers.start(supervisor, report=lambda _: None)
        yield servers.environment() | {
            "SECRET_KEY": "only-for-tests",
            "STATIC_ROOT": str(home.folder("static")),
            **STATIC_FROM_PACKAGES,
        }
    finally:
        supervisor.stop("postgres", "valkey")
        guard.dismiss()


def main() -> int:
    """Run the command of our command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m aforo.embedded.throwaway")
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    postgres = dict(setting.split("=", 1) for setting in options.settings)
    with throwaway_servers(durable=options.durable, settings=postgres) as settings:
        environment = os.environ | settings
        command = leashed(options.command, signal.SIGTERM, os.getuid())
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
