"""The product under test: servers of its own, its command line, its processes, its tables.

Nothing of the product is imported: it is started as users start it, and looked at through SQL.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg

from processor_time import resident_bytes_of, seconds_of
from sql import row
from traffic import Body

ROOT = Path(__file__).resolve().parent.parent
PARENT = "AFORO_BENCH"  # set in the process that runs among the servers of the bench

# Over those of `aforo up`: room for a run without a checkpoint in the middle of a measurement, and
# the time of each commit, from which lag is read.
POSTGRES = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "track_commit_timestamp": "on",
}
SHOWN = (
    "server_version",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "wal_compression",
    "track_commit_timestamp",
)
# Everything that traffic leaves behind.
TRAFFIC = (
    "usage_events, event_keys, running_totals, rating_adjustments, unique_values, dead_letters,"
    " held_events, late_totals, sessions, receipts, raw_payloads, inbox_batches"
)


def run_among_servers() -> None:
    """Start the program again among durable servers of its own; come back only in that one."""
    if PARENT in os.environ or {"DATABASE_URL", "REDIS_URL"} <= os.environ.keys():
        return
    settings = [word for pair in POSTGRES.items() for word in ("--set", "=".join(pair))]
    servers = [sys.executable, "-m", "aforo.embedded.throwaway", "--durable", *settings]
    program = [sys.executable, *sys.argv]
    sys.exit(
        subprocess.run([*servers, *program], env=os.environ | {PARENT: "1"}, check=False).returncode
    )


@dataclass(frozen=True)
class Installation:
    """One database with our schema, empty but for what the bench puts there."""

    environment: Mapping[str, str]

    @classmethod
    def prepare(cls) -> "Installation":
        """Migrate the database that the environment names; refuse one that is in use."""
        installation = cls(
            {
                "DJANGO_SETTINGS_MODULE": "aforo.settings",
                "LOG_LEVEL": "WARNING",
                **os.environ,
            }
        )
        installation.manage("migrate", "--verbosity", "0")
        with installation.connect() as connection:
            (in_use,) = row(connection, "SELECT EXISTS (SELECT FROM tenants)")
        if in_use:
            sys.exit("this database has tenants: the bench empties tables, give it a new database")
        return installation

    def connect(self, *, synchronous: bool = True) -> psycopg.Connection:
        """An autocommit connection to the product's database."""
        connection = psycopg.connect(self.environment["DATABASE_URL"], autocommit=True)
        connection.execute(f"SET synchronous_commit = {'on' if synchronous else 'off'}")
        connection.prepare_threshold = 1
        return connection

    def manage(self, *arguments: str) -> str:
        """Run one of the product's management commands; what it printed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=dict(self.environment),
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout

    def naive_rate(self, bodies: Sequence[Body]) -> float:
        """Events per second of `naive.py` over these bodies."""
        events = [
            json.dumps([str(body.seller.tenant_id), event])
            for body in bodies
            for event in json.loads(body.array)
        ]
        done = subprocess.run(
            [sys.executable, str(ROOT / "bench" / "naive.py")],
            env=dict(self.environment),
            input="\n".join(events),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return float(done.stdout)

    def forget_traffic(self) -> None:
        """As before the first event; processes that know the old rows are told to read again."""
        with self.connect() as connection:
            connection.execute(f"TRUNCATE {TRAFFIC}")
            connection.execute("UPDATE tenants SET catalog_version = catalog_version + 1")

    def settings(self) -> dict[str, str]:
        """What decides the speed of the database."""
        with self.connect() as connection:
            return {name: row(connection, f"SHOW {name}")[0] for name in SHOWN}

    @contextmanager
    def running(self, *, workers: int) -> Iterator[str]:
        """`aforo up` with one web process and so many that drain; its address."""
        port = _free_port()
        with tempfile.TemporaryDirectory(prefix="aforo-bench-") as folder:
            command = [str(Path(sys.executable).with_name("aforo")), "up", "--data-dir", folder]
            command += ["--port", str(port), "--web-workers", "1", "--workers", str(workers)]
            with _ended(_started(command, self.environment)):
                url = f"http://127.0.0.1:{port}"
                _wait_for(url)
                yield url


class Drainers:
    """Warm processes of the product that drain the inbox when they are told to."""

    def __init__(self, installation: Installation, count: int) -> None:
        self._name = f"bench-{count}"  # under which the database knows their connections
        environment = {**installation.environment, "PGAPPNAME": self._name}
        command = [sys.executable, str(ROOT / "manage.py"), "drain_inbox"]
        command += ["--until-empty", "--at-each-line", "--shards", str(count), "--shard"]
        self._processes = [
            subprocess.Popen(
                [*command, str(shard)],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for shard in range(count)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate(timeout=30)

    def drain(self, limit: int) -> tuple[int, float]:
        """Drain until empty in merges of about `limit` events; events, and seconds for all."""
        began_at = time.perf_counter()
        for process in self._processes:
            print(limit, file=process.stdin)
        figures = [json.loads(next(process.stdout or iter(()))) for process in self._processes]
        seconds = time.perf_counter() - began_at
        return sum(figure["events"] for figure in figures), seconds

    def processor_seconds(self, connection: psycopg.Connection) -> float:
        """What the processes and their database connections have used so far."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
        backends = [pid for (pid,) in connection.execute(query, (self._name,))]
        return seconds_of([*backends, *(process.pid for process in self._processes)])

    def resident_bytes(self) -> int:
        """What the processes hold in memory together."""
        return sum(resident_bytes_of(process.pid) for process in self._processes)


def _started(command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    leash = ROOT / "aforo" / "embedded" / "leash.py"
    end_with_us = [sys.executable, "-I", "-S", str(leash), str(os.getpid())]
    end_with_us += [str(int(signal.SIGTERM)), str(os.getuid())]
    return subprocess.Popen(
        [*end_with_us, *command], env=dict(environment), cwd=ROOT, stdout=subprocess.DEVNULL
    )


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
