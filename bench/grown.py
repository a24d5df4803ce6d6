"""The same drain into tables that are full already."""

from collections.abc import Sequence

import psycopg

from drain_speed import LARGE, DrainMeter, Speed, behind, ratios
from installation import Drainers, Installation
from report import Report, Target
from sellers import Seller
from sql import row

# Before a measurement: after a checkpoint, each page of the ledger is written whole into the log
# once, which is once in many millions of events and not what is measured.
WARM = 120_000
PIECES = 10  # that keys are made in
LEAST, LIKED = 0.75, 0.85  # of the speed into empty tables


def run(
    installation: Installation,
    meter: DrainMeter,
    sellers: Sequence[Seller],
    report: Report,
    *,
    rows: int,
    repeats: int,
) -> None:
    """One worker and two, first into empty tables, then into full ones."""
    counts = (1, 2)
    for count in counts:
        with Drainers(installation, count) as drainers:
            empty = [meter.anew(drainers, sellers, LARGE, warm_up=WARM) for _ in range(repeats)]
            grow(meter.connection, rows)
            full = [meter.on_top(drainers, sellers, LARGE, warm_up=WARM) for _ in range(repeats)]
        _tell(report, count, rows, full, empty)


def _tell(
    report: Report, count: int, rows: int, full: Sequence[Speed], empty: Sequence[Speed]
) -> None:
    workers = "1 worker" if count == 1 else f"{count} workers"
    target = Target(f"drain, {workers}, with {rows:,} rows present, to empty", LEAST, LIKED)
    report.add(target, ratios(full, empty), behind(full, empty))


def grow(connection: psycopg.Connection, rows: int) -> None:
    """Copy the events that are there, and make keys, until there are so many rows of each."""
    (present,) = row(connection, "SELECT count(*) FROM usage_events")
    names = [
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'usage_events'::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attname <> 'id'"
        )
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    connection.execute(
        f"INSERT INTO usage_events ({columns}) SELECT {columns} FROM usage_events,"
        " generate_series(1, %s)",
        (max(rows // present - 1, 0),),
    )
    for _ in range(PIECES):
        connection.execute(
            "INSERT INTO event_keys SELECT gen_random_uuid(), gen_random_uuid()"
            " FROM generate_series(1, %s)",
            (rows // PIECES,),
        )
    connection.execute("VACUUM ANALYZE usage_events")
    connection.execute("VACUUM ANALYZE event_keys")
    connection.execute("CHECKPOINT")  # or the load is written while its successors are measured
