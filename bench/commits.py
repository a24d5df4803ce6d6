"""What it costs to make a body durable, against the cheapest commit there is."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from uuid import uuid4

import lz4.frame
import psycopg

from installation import Installation
from processor_time import Patience
from report import Report, Target
from traffic import Body

FAST_DISK = Target("inbox insert to raw commit, on this disk", 2.5, 1.5, at_most=True)
SLOW_DISK = Target("inbox insert to raw commit, with 2 ms more per commit", 1.3, 1.05, at_most=True)
SLOW_MICROSECONDS = 2_000

# The statement of the door: one trip that checks the key and stores the body.
_STORE = """
    INSERT INTO inbox_batches (batch_id, tenant_id, bucket, api_key_id, source, received_at,
                               arrived_at, event_count, refused, body)
    SELECT %b, k.tenant_id, %b, k.id, %b, %b, clock_timestamp(), %b, %b, %b
    FROM api_keys k WHERE k.digest = %b AND k.revoked_at IS NULL
    RETURNING id
"""


def run(
    installation: Installation,
    report: Report,
    bodies: Sequence[Body],
    *,
    repeats: int,
    patience: Patience,
) -> None:
    """Alternate both kinds of commit, body by body, on one connection."""
    fast, slow = [], []
    with installation.connect() as connection:
        make_commit_table(connection)
        _medians(connection, bodies[:50])  # prepared statements, warm pages
        for _ in range(repeats):
            patience.wait()
            fast.append(_medians(connection, bodies))
            connection.execute(f"SET commit_delay = {SLOW_MICROSECONDS}")
            connection.execute("SET commit_siblings = 0")  # delay also those who are alone
            slow.append(_medians(connection, bodies[: len(bodies) // 2]))
            connection.execute("RESET commit_delay")
            connection.execute("RESET commit_siblings")
    installation.forget_traffic()
    for target, medians in ((FAST_DISK, fast), (SLOW_DISK, slow)):
        stored, bare = (statistics.median(column) for column in zip(*medians, strict=True))
        behind = f"{stored * 1000:.3f} ms to {bare * 1000:.3f} ms"
        report.add(target, [one / other for one, other in medians], behind)


def make_commit_table(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (n integer)")


def raw_commit(connection: psycopg.Connection) -> float:
    """Seconds for one row of one integer, durable."""
    return _seconds(partial(connection.execute, "INSERT INTO bench_commits VALUES (1)"))


def _medians(connection: psycopg.Connection, bodies: Sequence[Body]) -> tuple[float, float]:
    """Median seconds of storing a body, and of a raw commit."""
    stored, bare = [], []
    for body in bodies:
        stored.append(_seconds(partial(_store, connection, body)))
        bare.append(raw_commit(connection))
    return statistics.median(stored), statistics.median(bare)


def _store(connection: psycopg.Connection, body: Body) -> None:
    seller = body.seller
    connection.execute(
        _STORE,
        (
            uuid4(),
            seller.bucket,
            "API",
            datetime.now(UTC),
            body.count,
            None,
            lz4.frame.compress(body.array),
            sha256(seller.token.encode()).digest(),
        ),
    )


def _seconds(call: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    call()
    return time.perf_counter() - began_at
