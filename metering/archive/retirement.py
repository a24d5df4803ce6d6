"""One month of events leaves: written, hashed, read back, and only then dropped.

Killed before the last transaction, nothing has happened but a file that the next try replaces;
that transaction notes the archive and drops the month, both or neither.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog
from django.db import connection, transaction

from aforo.errors import Conflict
from metering.archive import parquet
from metering.archive.readiness import Month
from metering.models import ArchivedCount, ArchivedMonth
from metering.services.partitions import DETACH_LOCK

log = structlog.get_logger(__name__)

LOCK_SECONDS = 5  # to wait for drains; who comes later waits behind us that long
_ALONE = 7_305_241_002  # an advisory lock: one retirement at a time
# As the account of a tenant counts them: an event that two units count is one.
_COUNTS = """
    WITH placed AS (
        SELECT tenant_id, bool_or(running_total_id IS NOT NULL) AS is_counted
        FROM {partition} e
        WHERE source NOT IN ('VOID', 'AMEND') AND NOT EXISTS (
            SELECT FROM held_events h
            WHERE h.tenant_id = e.tenant_id AND h.status IN ('WAITING', 'WAIVED')
              AND h.batch_id = e.batch_id AND h.batch_index = e.batch_index)
        GROUP BY tenant_id, batch_id, batch_index)
    SELECT tenant_id, count(*) FILTER (WHERE is_counted), count(*) FILTER (WHERE NOT is_counted)
    FROM placed GROUP BY tenant_id
"""


@contextmanager
def alone() -> Iterator[bool]:
    """Whether nobody else retires anything; until the end, or until this session is killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (_ALONE,))
        (is_mine,) = cursor.fetchone()
        try:
            yield bool(is_mine)
        finally:
            if is_mine:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (_ALONE,))


def retire(month: Month, *, folder: Path, now: datetime) -> ArchivedMonth:
    """Write the month to `folder`, and drop it once the file is proven to hold all of it.

    Raises Conflict when file and partition differ, NoParquet when nothing can write the file.
    """
    target = folder / f"{month.partition}.parquet"
    sha256 = parquet.write_parquet(month.partition, target)
    written = parquet.sums_in_file(target)
    if parquet.sha256_of(target) != sha256:
        raise Conflict(f"{target} changed while it was read back")
    return _let_go(month, target, sha256, written, now=now)


def _let_go(
    month: Month, target: Path, sha256: str, written: parquet.Sums, *, now: datetime
) -> ArchivedMonth:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (DETACH_LOCK,))
        cursor.execute(f"LOCK TABLE {month.partition} IN SHARE MODE")
        stored = parquet.sums_in_partition(month.partition)
        if stored != written:
            raise Conflict(f"{month.partition} holds {stored}, but its file {written}")
        archived = ArchivedMonth.objects.create(
            month=month.start.date(),
            file=str(target),
            sha256=sha256,
            row_count=written.rows,
            archived_at=now,
        )
        cursor.execute(_COUNTS.format(partition=month.partition))
        ArchivedCount.objects.bulk_create(
            ArchivedCount(month=archived, tenant_id=tenant, counted=counted, unbilled=unbilled)
            for tenant, counted, unbilled in cursor.fetchall()
        )
        drop(month.partition, "usage_events")
    log.info("month_archived", month=f"{month.start:%Y-%m}", file=str(target), rows=written.rows)
    return archived


def drop(partition: str, table: str) -> None:
    """Detach and drop, in the caller's transaction: readers and writers wait for a moment.

    Not CONCURRENTLY, which PostgreSQL refuses where there is a DEFAULT partition.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {partition}")
        cursor.execute(f"DROP TABLE {partition}")
