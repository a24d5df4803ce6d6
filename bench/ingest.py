"""How fast usage is taken in, as ratios to what PostgreSQL itself does in the same run.

    python bench/ingest.py            about twenty minutes
    python bench/ingest.py --quick    a smoke run: every number is printed, none is worth much

See docs/performance.md for what each ratio means.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import commits
import grown
import memory
import sellers
from drain_speed import DrainMeter
from drains import DrainBench
from installation import Installation, run_among_servers
from over_http import Effort, HttpBench
from processor_time import Patience
from report import Report
from sellers import SUBSCRIPTIONS, Seller
from shapes import ShapeBench, active
from traffic import Traffic

MANY = 10_000  # subscriptions in all, of which most measurements use SUBSCRIPTIONS


def main() -> None:
    options = _options()
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    everybody = SUBSCRIPTIONS if options.quick else MANY
    with installation.connect(synchronous=False) as connection:
        sold = sellers.create(connection, now=datetime.now(UTC), subscriptions=everybody)
    _drain(installation, report, sold, options)
    _receive(installation, report, active(sold, SUBSCRIPTIONS), options)
    if options.json:
        report.write(options.json)


def _drain(
    installation: Installation,
    report: Report,
    sold: Sequence[Seller],
    options: argparse.Namespace,
) -> None:
    usual, repeats = active(sold, SUBSCRIPTIONS), options.repeats
    with installation.connect(synchronous=False) as connection:
        meter = DrainMeter(
            installation, connection, events=options.events, patience=Patience(options.patience)
        )
        DrainBench(installation, meter, usual).run(report, repeats=repeats)
        ShapeBench(installation, meter, sold).run(report, repeats=repeats)
        if options.rows:
            grown.run(installation, meter, usual, report, rows=options.rows, repeats=repeats)
    memory.run(installation, usual, report, events=options.memory_events)


def _receive(
    installation: Installation,
    report: Report,
    sold: Sequence[Seller],
    options: argparse.Namespace,
) -> None:
    patience = Patience(options.patience)
    bodies = Traffic(sold, seed=99, now=datetime.now(UTC)).bodies(options.stored_events)
    commits.run(installation, report, bodies, repeats=options.repeats, patience=patience)
    effort = Effort(options.repeats, options.seconds, options.acks, patience)
    with installation.running(workers=1) as url:
        HttpBench(installation, sold, url, effort).run(report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run of under 40 s")
    parser.add_argument("--json", type=Path, help="write all figures and samples to this file")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
    parser.add_argument("--events", type=int, default=120_000, help="per drain")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load per HTTP run")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds to wait for a quiet machine, each time"
    )
    parser.add_argument("--rows", type=int, help="also drain into tables that hold so many rows")
    parser.set_defaults(memory_events=1_000_000, stored_events=100_000, acks=1_000)
    options = parser.parse_args()
    if options.quick:
        small = {"repeats": 1, "events": 20_000, "seconds": 2.0, "acks": 100}
        vars(options).update(small, memory_events=40_000, stored_events=10_000)
    return options


if __name__ == "__main__":
    main()
