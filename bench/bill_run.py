"""How fast a month is billed, as a ratio to what PostgreSQL needs to add up the same events.

    python bench/bill_run.py            about three minutes
    python bench/bill_run.py --quick    a smoke run over fewer events
    python bench/bill_run.py --large    10,000 subscriptions over ten million events: ten minutes

One tenant, 1,000 subscriptions, a base fee and four metrics each: 5,000 invoice lines, by the
product's own API and worker. The worker's memory at the end of a run is set against the one before.
One customer uses 100,000 events more: reading that invoice, and the first page of its events, is
timed at the end.
See docs/performance.md for what the ratios mean.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

import invoice_reading
import sellers
from installation import Drainers, Installation, run_among_servers
from processor_time import Patience, resident_bytes_of
from report import Report, Target
from sellers import SUBSCRIPTIONS, Seller
from sql import row
from traffic import BATCH, Span, Traffic, fill_inbox, without_end

LINES = 5  # per invoice
SAY_EVERY = 5.0  # seconds
POOL = 100_000  # events made beforehand; their bodies go in again with new keys
PER_FILL = 2_000  # bodies in the inbox at a time

LARGE = 10_000, 10_000_000  # subscriptions and events of --large

ISSUED = Target("the same with each invoice numbered and issued", 12, 6, at_most=True)
FLAT = Target("memory of the worker after the last run, to the first", 1.10, 1.02, at_most=True)

_SUM = """
    SELECT subscription_id, unit_id, sum(quantity) FROM usage_events
    WHERE tenant_id = %s AND occurred_at >= %s AND occurred_at < %s GROUP BY 1, 2
"""
_WRITTEN = """
    SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM invoice_lines)
"""
_FINAL = {"COMPLETED", "PARTIALLY_FAILED", "FAILED"}


def main() -> None:
    options = _options()
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    now = datetime.now(UTC)
    with installation.connect() as connection:
        count, events = _sizes(options)
        (seller,) = sellers.create(
            connection, now=now, tenants=1, metrics=LINES - 1, subscriptions=count
        )
        month = _last_month(now)
        _use(installation, connection, seller, month, events, much=_much(options))
        with installation.running(workers=1) as url:
            bench = BillBench(connection, seller, month, url, Patience(options.patience))
            bench.run(report, repeats=_repeats(options))
            invoice_reading.measure(report, connection, seller, url)
    if options.json:
        report.write(options.json)


class BillBench:
    """Bill runs over one month, each undone before the next."""

    def __init__(
        self,
        connection: psycopg.Connection,
        seller: Seller,
        month: Span,
        url: str,
        patience: Patience,
    ) -> None:
        self._connection = connection
        self._seller = seller
        self._month = month
        self._url = url
        self._patience = patience

    def run(self, report: Report, *, repeats: int) -> None:
        """Interleave runs and sums; the first run, by cold processes, does not count."""
        (events,) = row(self._connection, "SELECT count(*) FROM usage_events")
        self._bill(issue=False)
        drafted, issued, sums, memory = [], [], [], [_memory_of_workers()]
        for number in range(repeats):
            _say(f"repeat {number + 1} of {repeats}")
            self._patience.wait()
            sums.append(statistics.median(self._sum() for _ in range(3)))
            drafted.append(self._bill(issue=False))
            issued.append(self._bill(issue=True))
            memory.append(_memory_of_workers())
        what = f"bill run, {len(self._seller.customers):,} x {LINES} lines from totals, to raw SUM"
        plain = Target(f"{what} of the events", 12, 6, at_most=True)
        for target, runs in ((plain, drafted), (ISSUED, issued)):
            samples = [run / base for run, base in zip(runs, sums, strict=True)]
            seconds, base = statistics.median(runs), statistics.median(sums)
            report.add(target, samples, f"{seconds:.2f} s to {base:.3f} s for {events:,} events")
        shown = ", ".join(f"{size / 1e6:.0f}" for size in memory)
        report.add(FLAT, [memory[-1] / memory[0]], f"MB after each repeat: {shown}")

    def _bill(self, *, issue: bool) -> float:
        """Seconds from executing a run to its last invoice."""
        self._undo()
        start, end = self._month
        asked = {
            "billingPeriodStart": start.isoformat(),
            "billingPeriodEnd": end.isoformat(),
            "autoFinalize": issue,
        }
        run = self._call("/api/v1/bill-runs", asked)
        self._patience.wait()
        began_at = time.perf_counter()
        self._call(f"/api/v1/bill-runs/{run['id']}/execute", {})
        status = self._wait_for(run["id"], began_at)
        seconds = time.perf_counter() - began_at
        written = row(self._connection, _WRITTEN)
        count = len(self._seller.customers)
        if (status, *written) != ("COMPLETED", count, count * LINES):
            raise RuntimeError(f"the run is {status}, (invoices, lines) are {written}")
        return seconds

    def _wait_for(self, run_id: str, began_at: float) -> str:
        """The final status; says every five seconds how far the run has come."""
        status, told_at = "", began_at
        while status not in _FINAL:
            time.sleep(0.01)
            (status,) = row(self._connection, "SELECT status FROM bill_runs WHERE id = %s", run_id)
            if time.perf_counter() - told_at > SAY_EVERY:
                told_at = time.perf_counter()
                invoices, _ = row(self._connection, _WRITTEN)
                _say(f"{invoices:,} of {len(self._seller.customers):,} invoices")
        return status

    def _sum(self) -> float:
        """Seconds to add up all events of the month, group by group."""
        began_at = time.perf_counter()
        self._connection.execute(_SUM, (self._seller.tenant_id, *self._month)).fetchall()
        return time.perf_counter() - began_at

    def _undo(self) -> None:
        self._connection.execute("TRUNCATE bill_runs, invoices, outbox_messages CASCADE")
        self._connection.execute(
            "UPDATE running_totals SET billed_position = NULL, billed_quantity = NULL,"
            " billed_event_count = NULL, billed_revenue = NULL"
        )
        self._connection.execute("VACUUM ANALYZE running_totals")

    def _call(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self._seller.operator_token}",
            "Content-Type": "application/json",
        }
        encoded = json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, encoded, headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer


def _use(
    installation: Installation,
    connection: psycopg.Connection,
    seller: Seller,
    month: Span,
    events: int,
    *,
    much: int,
) -> None:
    """Let the product itself count so many events of that month, and more of one customer."""
    traffic = Traffic([seller], seed=7, now=datetime.now(UTC), span=month)
    bodies = without_end(traffic.bodies(min(events, POOL)))
    with Drainers(installation, 1) as drainers:
        for start in range(0, events // BATCH, PER_FILL):
            count = min(PER_FILL, events // BATCH - start)
            fill_inbox(connection, list(itertools.islice(bodies, count)))
            drainers.drain(20_000)
            _say(f"{(start + count) * BATCH:,} of {events:,} events counted")
        invoice_reading.use_much(connection, drainers, seller, month, much)
    connection.execute("VACUUM ANALYZE usage_events")


def _say(what: str) -> None:
    """Progress, beside the table."""
    print(f"  {what}", file=sys.stderr, flush=True)


def _memory_of_workers() -> int:
    """What the processes of the worker that we have started hold, together."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(fields[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    workers = [
        pid for pid in ours if b"celery" in names.get(pid, b"") and b"beat" not in names[pid]
    ]
    return sum(resident_bytes_of(pid) for pid in workers)


def _sizes(options: argparse.Namespace) -> tuple[int, int]:
    """How many subscriptions, and how many events they have used."""
    if options.large:
        return LARGE
    return options.subscriptions, 50_000 if options.quick else options.events


def _repeats(options: argparse.Namespace) -> int:
    if options.quick:
        return 1
    repeats: int = options.repeats or (2 if options.large else 5)
    return repeats


def _much(options: argparse.Namespace) -> int:
    """Events of one customer, beside those of all."""
    return invoice_reading.EVENTS // 10 if options.quick else invoice_reading.EVENTS


def _last_month(now: datetime) -> Span:
    months = sellers.months_around(now)
    this = months.index(datetime(now.year, now.month, 1, tzinfo=UTC))
    return months[this - 1], months[this]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run over 50,000 events")
    parser.add_argument("--json", type=Path, help="write all figures and samples to this file")
    parser.add_argument("--repeats", type=int, help="of each measurement: 5, or 2 of a large one")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds to wait for a quiet machine, each time"
    )
    parser.add_argument("--large", action="store_true", help="10,000 subscriptions, 10 M events")
    parser.add_argument("--subscriptions", type=int, default=SUBSCRIPTIONS)
    parser.add_argument("--events", type=int, default=1_000_000, help="that were counted before")
    return parser.parse_args()


if __name__ == "__main__":
    main()
