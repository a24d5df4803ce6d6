"""How fast usage is taken in, as ratios to what PostgreSQL itself does in the same run.

    python bench/ingest.py            about ten minutes
    python bench/ingest.py --quick    a smoke run: every number is printed, none is worth much

See docs/performance.md for what each ratio means.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import commits
import sellers
from drains import DrainBench
from installation import Installation, run_among_servers
from over_http import Effort, HttpBench
from processor_time import Patience
from report import Report
from traffic import Traffic


def main() -> None:
    options = _options()
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    with installation.connect(synchronous=False) as connection:
        sold = sellers.create(connection, now=datetime.now(UTC))
    quick, patience = options.quick, Patience(options.patience)
    repeats = 1 if quick else options.repeats
    events = 20_000 if quick else options.events
    drains = DrainBench(installation, sold, events=events, patience=patience)
    drains.run(report, repeats=repeats, rows=options.rows)
    bodies = Traffic(sold, seed=99, now=datetime.now(UTC)).bodies(10_000 if quick else 100_000)
    commits.run(installation, report, bodies, repeats=repeats, patience=patience)
    seconds, acks = (2.0, 100) if quick else (options.seconds, 1_000)
    effort = Effort(repeats, seconds, acks, patience)
    with installation.running(workers=1) as url:
        HttpBench(installation, sold, url, effort).run(report)
    if options.json:
        report.write(options.json)


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
    return parser.parse_args()


if __name__ == "__main__":
    main()
