"""Raw limits: what PostgreSQL itself does with the same bytes, measured in the same run."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from processor_time import seconds_of
from sql import row

ROWS_PER_COMMIT = 20_000


def rows_as_text(connection: psycopg.Connection, limit: int) -> list[bytes]:
    """Rows that the product wrote, as COPY's text, one piece per commit."""
    query = f"COPY (SELECT * FROM usage_events LIMIT {limit}) TO STDOUT"
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        lines = b"".join(copy).splitlines(keepends=True)
    starts = range(0, len(lines), ROWS_PER_COMMIT)
    return [b"".join(lines[start : start + ROWS_PER_COMMIT]) for start in starts]


@dataclass(frozen=True)
class CopySpeed:
    """Rows per second, and microseconds of the server's processor per row."""

    rate: float
    microseconds: float


def copy_speed(connection: psycopg.Connection, pieces: Sequence[bytes]) -> CopySpeed:
    """COPY into a bare heap, one commit per piece, synchronous_commit off; the median of three."""
    speeds = [_copy(connection, pieces) for _ in range(3)]
    return CopySpeed(
        statistics.median(speed.rate for speed in speeds),
        statistics.median(speed.microseconds for speed in speeds),
    )


def _copy(connection: psycopg.Connection, pieces: Sequence[bytes]) -> CopySpeed:
    connection.execute("DROP TABLE IF EXISTS bench_heap")
    connection.execute("CREATE TABLE bench_heap (LIKE usage_events)")
    server = [connection.info.backend_pid]
    used, began_at = seconds_of(server), time.perf_counter()
    for piece in pieces:
        with connection.cursor() as cursor, cursor.copy("COPY bench_heap FROM STDIN") as copy:
            copy.write(piece)
    seconds, used = time.perf_counter() - began_at, seconds_of(server) - used
    (rows,) = row(connection, "SELECT count(*) FROM bench_heap")
    connection.execute("DROP TABLE bench_heap")
    return CopySpeed(rows / seconds, used / rows * 1e6)
