"""The memory of a worker that drains a million events: it must not grow with what it has seen."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from drain_speed import LARGE
from installation import Drainers, Installation
from report import Report, Target
from sellers import Seller
from traffic import BATCH, Traffic, fill_inbox, without_end

POOL = 100_000  # events made beforehand; their bodies go in again with new keys
FILLS = 10  # looks at the memory
EARLY = 2  # of them, after which everything that is kept has been met
FLAT = Target("memory of a worker at the end, to a fifth of the way", 1.10, 1.02, at_most=True)


def run(
    installation: Installation, sellers: Sequence[Seller], report: Report, *, events: int
) -> None:
    """Drain so many events by one process, in fills of a tenth."""
    installation.forget_traffic()
    traffic = Traffic(sellers, seed=77, now=datetime.now(UTC))
    bodies = without_end(traffic.bodies(min(POOL, events)))
    with (
        installation.connect(synchronous=False) as connection,
        Drainers(installation, 1) as one,
    ):
        one.drain(LARGE)  # nothing waits: it is up when it answers
        at_start = one.resident_bytes()
        seen = []
        for _ in range(FILLS):
            fill_inbox(connection, list(itertools.islice(bodies, events // FILLS // BATCH)))
            one.drain(LARGE)
            seen.append(one.resident_bytes())
    shown = ", ".join(f"{size / 1e6:.0f}" for size in (at_start, *seen))
    behind = f"MB at the start and after each tenth of {events:,} events: {shown}"
    report.add(FLAT, [seen[-1] / seen[EARLY - 1]], behind)
