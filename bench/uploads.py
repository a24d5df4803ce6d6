"""A year of logs from one file: how fast it is read, and in how much memory.

    python bench/uploads.py                      one million rows, read and counted
    python bench/uploads.py --rows 10000000      ten million
    python bench/uploads.py --only-read          into the inbox, which is emptied meanwhile

The file goes in by `aforo import --backfill`; the raw limit is Python's csv.reader over the same
file into COPY. See docs/performance.md for what the ratios mean.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

import sellers
from installation import ROOT, Drainers, Installation, run_among_servers
from processor_time import seconds_of
from report import Report, Target
from sellers import Seller
from sql import row

YEAR = timedelta(days=365)
WRITTEN_AT_ONCE = 10_000  # rows of the file
LOOK_SECONDS = 0.2  # between two looks at the reader's memory
COLUMNS = ("event_id", "timestamp", "customer_id", "metric", "quantity", "region", "path", "status")
MEGABYTE = 1024 * 1024
MICROSECONDS = 1e6
READER = "bench-import"  # under which the database knows its connection

READ = Target("import of {rows:,} rows into the inbox, to csv.reader and COPY", 0.08, 0.15)
COUNTED = Target(
    "import of {rows:,} rows until all are counted, to csv.reader and COPY", 0.03, 0.06
)
FLAT = Target(
    "memory of the reader, the most of its second half to that of its first",
    1.05,
    1.01,
    at_most=True,
)

_EARLIER_PERIODS = """
    INSERT INTO subscription_periods (id, tenant_id, subscription_id, start_at, end_at,
                                      whole_start_at)
    SELECT gen_random_uuid(), s.tenant_id, s.id, month, month + interval '1 month', month
    FROM subscriptions s,
         generate_series(s.start_at - interval '12 months', s.start_at - interval '1 month',
                         interval '1 month') AS month
"""
_EARLIER_START = "UPDATE subscriptions SET start_at = start_at - interval '12 months'"
_STATE = "SELECT state, rows_read, accepted, failed FROM uploads ORDER BY created_at DESC LIMIT 1"
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
_EVENTS = "SELECT count(*) FROM usage_events WHERE running_total_id IS NOT NULL"


@dataclass(frozen=True)
class RawSpeed:
    """Rows per second of csv.reader into COPY, and microseconds of processor per row."""

    rate: float
    microseconds: float


@dataclass
class Reading:
    """One import: seconds until it ended, and the memory it had at each look, in bytes."""

    seconds: float = 0.0
    processor_seconds: float = 0.0  # of the reader and its database connection
    memory: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """The most memory of the second half, to the most of the first, which holds its start."""
        middle = len(self.memory) // 2
        return max(self.memory[middle:]) / max(self.memory[:middle])


def main() -> None:
    options = _options()
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    now = datetime.now(UTC)
    with installation.connect() as connection, tempfile.TemporaryDirectory() as folder:
        (seller,) = sellers.create(connection, now=now, tenants=1)
        connection.execute(_EARLIER_PERIODS)
        connection.execute(_EARLIER_START)
        path = Path(folder) / "year.csv"
        _write(path, seller, options.rows, now)
        raw = _copied(connection, path)
        reading, counted = _measured(installation, connection, path, options)
    _tell(report, options, rows=options.rows, raw=raw, reading=reading, counted=counted)
    if options.json:
        report.write(options.json)


def _write(path: Path, seller: Seller, rows: int, now: datetime) -> None:
    """Write the log of a year, oldest first, ten thousand rows in memory at a time."""
    chance = random.Random(rows)
    start, step = now - YEAR, YEAR / rows
    with path.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for first in range(0, rows, WRITTEN_AT_ONCE):
            last = min(first + WRITTEN_AT_ONCE, rows)
            file.writelines(
                f"evt-{number:010},{(start + step * number).isoformat()},"
                f"{chance.choice(seller.customers)},{chance.choice(seller.metrics)},"
                f"{chance.randrange(1_000_000) / 1000},eu-west-1,/v1/chat,200\n"
                for number in range(first, last)
            )


def _copied(connection: psycopg.Connection, path: Path) -> RawSpeed:
    """Read with csv.reader and COPY into a bare heap."""
    both = [os.getpid(), connection.info.backend_pid]
    columns = ", ".join(f"{name} text" for name in COLUMNS)
    connection.execute(f"DROP TABLE IF EXISTS bench_heap; CREATE TABLE bench_heap ({columns})")
    began_at, used = time.perf_counter(), seconds_of(both)
    with (
        path.open(newline="") as file,
        connection.cursor() as cursor,
        cursor.copy("COPY bench_heap FROM STDIN") as copy,
    ):
        rows = csv.reader(file)
        next(rows)
        for cells in rows:
            copy.write_row(cells)
    seconds, used = time.perf_counter() - began_at, seconds_of(both) - used
    (count,) = row(connection, "SELECT count(*) FROM bench_heap")
    connection.execute("DROP TABLE bench_heap")
    return RawSpeed(count / seconds, used / count * MICROSECONDS)


def _measured(
    installation: Installation,
    connection: psycopg.Connection,
    path: Path,
    options: argparse.Namespace,
) -> tuple[Reading, float]:
    """One import, and the seconds until its last event was counted."""
    began_at = time.perf_counter()
    with _emptied(installation) if options.only_read else _drained(installation):
        reading = _import(installation, connection, path)
    seconds = time.perf_counter() - began_at
    state, read, accepted, failed = row(connection, _STATE)
    if (state, read, accepted, failed) != ("COMPLETED", options.rows, options.rows, 0):
        raise RuntimeError(
            f"the import is {state}: {read} rows, {accepted} taken, {failed} refused"
        )
    if not options.only_read:
        (events,) = row(connection, _EVENTS)
        if events != options.rows:
            raise RuntimeError(f"{events} events were counted of {options.rows}")
    return reading, seconds


def _import(installation: Installation, connection: psycopg.Connection, path: Path) -> Reading:
    """Run `aforo import`, and look at its memory and processor time meanwhile."""
    environment = {**installation.environment, "PGAPPNAME": READER}
    command = [sys.executable, str(ROOT / "manage.py"), "import_usage", str(path), "--backfill"]
    reading, began_at = Reading(), time.perf_counter()
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            reading.memory.append(_resident(process.pid))
            backends = [pid for (pid,) in connection.execute(_BACKENDS, (READER,))]
            used = seconds_of([process.pid, *backends])
            reading.processor_seconds = max(used, reading.processor_seconds)
            time.sleep(LOOK_SECONDS)
    reading.seconds = time.perf_counter() - began_at
    if process.returncode:
        raise RuntimeError(f"the import ended with {process.returncode}")
    return reading


def _resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _emptied(installation: Installation) -> Iterator[None]:
    """Throw away what comes into the inbox, so that only reading is measured."""
    done = threading.Event()

    def empty() -> None:
        with installation.connect(synchronous=False) as connection:
            while not done.wait(0.05):
                connection.execute("DELETE FROM inbox_batches")

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _drained(installation: Installation) -> Iterator[None]:
    """Count what comes into the inbox by one warm process, and afterwards what is left."""
    done = threading.Event()
    with Drainers(installation, 1) as drainers:

        def drain() -> None:
            while not done.is_set():
                events, _ = drainers.drain(20_000)
                if not events:
                    time.sleep(0.05)

        thread = threading.Thread(target=drain)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        drainers.drain(20_000)


def _tell(
    report: Report,
    options: argparse.Namespace,
    *,
    rows: int,
    raw: RawSpeed,
    reading: Reading,
    counted: float,
) -> None:
    seconds = reading.seconds if options.only_read else counted
    target = READ if options.only_read else COUNTED
    named = Target(target.what.format(rows=rows), target.must, target.reach)
    rate, spent = rows / seconds, reading.processor_seconds / rows * MICROSECONDS
    behind = (
        f"{rate:,.0f}/s to {raw.rate:,.0f}/s; the reader's processor time {spent:.1f} us a row to"
        f" {raw.microseconds:.1f} us"
    )
    report.add(named, [rate / raw.rate], behind)
    most = max(reading.memory) / MEGABYTE
    report.add(FLAT, [reading.growth], f"{most:.0f} MB at most")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only-read", action="store_true", help="throw away what would be counted")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
