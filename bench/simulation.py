"""Made-up usage through the doors, the drain and the ten stages: how fast, in what memory.

    python bench/simulation.py                       100,000 events, then a million: five minutes
    python bench/simulation.py --events 10000 50000  other sizes

Each size is a scenario of its own, run by a process of its own as a worker runs it, and undone at
its end. See docs/performance.md for what the figures mean.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import sellers
from drain_speed import LARGE, DrainMeter
from installation import ROOT, Drainers, Installation, run_among_servers
from processor_time import Patience, resident_bytes_of
from report import Report, Target

SPEED = Target("rows of a simulation, text to invoices, to raw COPY of such rows", 0.08, 0.15)
FLAT = Target("memory of a simulation, at its most, of {most:,} events to {least:,}", 1.10, 1.02)
COPIED = 100_000  # rows
LOOK_SECONDS = 0.2  # between two looks at the memory
MEGABYTE = 1024 * 1024
CUSTOMERS = 4
ROWS = 2  # per event: each is counted by two units
TIERS = [
    {"tierEnd": "1000", "unitPrice": "0.010"},
    {"tierEnd": "10000", "unitPrice": "0.008"},
    {"tierEnd": "-1", "unitPrice": "0.005"},
]
RUN = """
import json, sys
from billing.simulations import runner, scenario
report = runner.run(scenario.parse(sys.stdin.read()))
print(json.dumps([report.passed, [one["total"] for one in report.invoices]]))
"""


@dataclass
class Simulated:
    """One simulation: seconds from start to end, and its memory at each look, in bytes."""

    events: int
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list)

    @property
    def most(self) -> int:
        return max(self.memory)

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def main() -> None:
    options = _options()
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    patience = Patience(options.patience)
    copied = _copied(installation, patience)
    runs = []
    for events in sorted(options.events):
        patience.wait()
        runs.append(_simulated(installation, events))
        _say(runs[-1])
    _report(report, runs, copied)
    if options.json:
        report.write(options.json)


def _copied(installation: Installation, patience: Patience) -> float:
    """Rows per second that PostgreSQL takes by COPY, of rows that the drain has written."""
    with installation.connect() as connection:
        made = sellers.create(connection, now=datetime.now(UTC), tenants=1, subscriptions=CUSTOMERS)
        meter = DrainMeter(installation, connection, events=COPIED, patience=patience)
        with Drainers(installation, 1) as drainers:
            meter.anew(drainers, made, LARGE)
        rate = meter.copied().rate
    installation.forget_traffic()
    return rate


def _simulated(installation: Installation, events: int) -> Simulated:
    """Run one scenario in a process of its own, and look at its memory meanwhile."""
    run, began_at = Simulated(events), time.perf_counter()
    command = [sys.executable, str(ROOT / "manage.py"), "shell", "--no-imports", "--command", RUN]
    with subprocess.Popen(
        command,
        env=dict(installation.environment),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        process.stdin.write(json.dumps(_scenario(events)))
        process.stdin.close()
        while process.poll() is None:
            run.memory.append(resident_bytes_of(process.pid))
            time.sleep(LOOK_SECONDS)
        assert process.stdout is not None  # noqa: S101 - likewise
        said = process.stdout.read()
    run.seconds = time.perf_counter() - began_at
    if process.returncode:
        raise RuntimeError(f"the simulation ended with {process.returncode}")
    passed, totals = json.loads(said.splitlines()[-1])
    if not passed or len(totals) != CUSTOMERS:
        raise RuntimeError(f"the simulation has failed: {totals}")
    return run


def _report(report: Report, runs: Sequence[Simulated], copied: float) -> None:
    rate = runs[-1].rate
    report.add(SPEED, [rate * ROWS / copied], f"{rate * ROWS:,.0f} rows/s to {copied:,.0f}/s")
    least, most = runs[0], runs[-1]
    what = FLAT.what.format(most=most.events, least=least.events)
    target = Target(what, FLAT.must, FLAT.reach, at_most=True)
    behind = ", ".join(f"{run.most / MEGABYTE:.0f} MB" for run in runs)
    report.add(target, [most.most / least.most], behind)


def _say(run: Simulated) -> None:
    """Progress, beside the table."""
    told = f"  {run.events:,} events: {run.rate:,.0f}/s, {run.most / MEGABYTE:.0f} MB at most"
    print(told, file=sys.stderr, flush=True)


def _scenario(events: int) -> dict[str, object]:
    """A month in which so many events come to a few customers, each in two units."""
    each = events // CUSTOMERS
    names = [f"customer-{number}" for number in range(CUSTOMERS)]
    price = {"metricName": "tokens", "model": "GRADUATED", "tiers": TIERS}
    calls = {"metricName": "calls", "model": "PER_UNIT", "rate": "0.001"}
    usage = {"metric": "tokens", "events": each, "quantity": {"least": "1", "most": "9"},
             "metadata": {"region": ["eu", "us"]}, "from": "2026-01-02T00:00:00Z"}  # fmt: skip
    sent = [
        {"usage": {**usage, "customer": name, "to": f"2026-01-{5 + number:02}T00:00:00Z"}}
        for number, name in enumerate(names)
    ]
    return {
        "name": f"{events:,} events",
        "clock": "2026-01-01T00:00:00Z",
        "metrics": [
            {"name": "tokens", "aggregationType": "SUM"},
            {"name": "calls", "aggregationType": "COUNT", "sourceMetric": "tokens"},
        ],
        "ratePlans": [{"name": "Plan", "currency": "USD", "metricConfigs": [price, calls]}],
        "offerings": [{"code": "PLAN", "name": "Plan", "primaryRatePlanId": "$ratePlans.Plan"}],
        "customers": [{"externalId": name, "name": name} for name in names],
        "subscriptions": [
            {"as": name, "offeringId": "$offerings.PLAN", "customerId": name,
             "startDate": "2026-01-01"} for name in names
        ],
        "steps": [
            *sent,
            {"clock": "2026-02-01T00:00:00Z"},
            {"bill": {}},
            {"expect": {"usage": {"received": each * CUSTOMERS, "counted": each * CUSTOMERS}}},
        ],
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds to wait for a quiet machine"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
