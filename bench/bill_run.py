"""How fast a month is billed, as a ratio to what PostgreSQL needs to add up the same events.

    python bench/bill_run.py            about three minutes
    python bench/bill_run.py --quick    a smoke run over fewer events

One tenant, 1,000 subscriptions, a base fee and four metrics each: 5,000 invoice lines, by the
product's own API and worker. See docs/performance.md for what the ratio means.
"""

import argparse
import itertools
import json
import statistics
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

import sellers
from installation import Drainers, Installation, run_among_servers
from processor_time import Patience
from report import Report, Target
from sellers import SUBSCRIPTIONS, Seller
from sql import row
from traffic import BATCH, Span, Traffic, fill_inbox, without_end

LINES = 5  # per invoice
POOL = 100_000  # events made beforehand; their bodies go in again with new keys
PER_FILL = 2_000  # bodies in the inbox at a time

DRAFTED = Target(
    "bill run, 1,000 x 5 lines from totals, to raw SUM of the events", 12, 6, at_most=True
)
ISSUED = Target("the same with each invoice numbered and issued", 12, 6, at_most=True)

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
        (seller,) = sellers.create(connection, now=now, tenants=1, metrics=LINES - 1)
        month = _last_month(now)
        events = 50_000 if options.quick else options.events
        _use(installation, connection, seller, month, events)
        with installation.running(workers=1) as url:
            bench = BillBench(connection, seller, month, url, Patience(options.patience))
            bench.run(report, repeats=1 if options.quick else options.repeats, events=events)
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

    def run(self, report: Report, *, repeats: int, events: int) -> None:
        """Interleave runs and sums; the first run, by cold processes, does not count."""
        self._bill(issue=False)
        drafted, issued, sums = [], [], []
        for _ in range(repeats):
            self._patience.wait()
            sums.append(statistics.median(self._sum() for _ in range(3)))
            drafted.append(self._bill(issue=False))
            issued.append(self._bill(issue=True))
        for target, runs in ((DRAFTED, drafted), (ISSUED, issued)):
            samples = [run / base for run, base in zip(runs, sums, strict=True)]
            seconds, base = statistics.median(runs), statistics.median(sums)
            report.add(target, samples, f"{seconds:.2f} s to {base:.3f} s for {events:,} events")

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
        status = ""
        while status not in _FINAL:
            time.sleep(0.01)
            (status,) = row(
                self._connection, "SELECT status FROM bill_runs WHERE id = %s", run["id"]
            )
        seconds = time.perf_counter() - began_at
        written = row(self._connection, _WRITTEN)
        if (status, *written) != ("COMPLETED", SUBSCRIPTIONS, SUBSCRIPTIONS * LINES):
            raise RuntimeError(f"the run is {status}, (invoices, lines) are {written}")
        return seconds

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
) -> None:
    """Let the product itself count so many events of that month."""
    traffic = Traffic([seller], seed=7, now=datetime.now(UTC), span=month)
    bodies = without_end(traffic.bodies(min(events, POOL)))
    with Drainers(installation, 1) as drainers:
        for start in range(0, events // BATCH, PER_FILL):
            count = min(PER_FILL, events // BATCH - start)
            fill_inbox(connection, list(itertools.islice(bodies, count)))
            drainers.drain(20_000)
    connection.execute("VACUUM ANALYZE usage_events")


def _last_month(now: datetime) -> Span:
    months = sellers.months_around(now)
    this = months.index(datetime(now.year, now.month, 1, tzinfo=UTC))
    return months[this - 1], months[this]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run over 50,000 events")
    parser.add_argument("--json", type=Path, help="write all figures and samples to this file")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds to wait for a quiet machine, each time"
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="that were counted before")
    return parser.parse_args()


if __name__ == "__main__":
    main()
