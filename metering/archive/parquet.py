"""One month of usage events as a Parquet file, written in a stream and read back to be believed.

Numbers without a limit of digits are text in the file, exactly as they were stored; times are UTC.
"""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from aforo.errors import AforoError
from aforo.money import EXACT, ZERO
from metering.ingest.connection import hot_cursor

try:
    import duckdb
except ModuleNotFoundError:  # it is 70 MB, and only who archives needs it
    duckdb = None  # type: ignore[assignment]

ROWS_AT_A_TIME = 50_000  # read back: some 5 MB
PIECE = 1 << 20
MEMORY = "512MB"  # of the writer; beyond it, it uses the disk
_TIMES = ("occurred_at", "received_at")
_COLUMNS = {
    "id": "BIGINT",
    "tenant_id": "UUID",
    "customer_id": "UUID",
    "subscription_id": "UUID",
    "plan_version_id": "UUID",
    "unit_id": "UUID",
    "running_total_id": "BIGINT",
    "position": "BIGINT",
    "idempotency_key": "VARCHAR",
    "metric": "VARCHAR",
    "quantity": "VARCHAR",
    "revenue": "VARCHAR",
    "cost": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "late": "BOOLEAN",
    "product_type": "VARCHAR",
    "session_id": "VARCHAR",
    "agent_id": "VARCHAR",
    "tool_name": "VARCHAR",
    "trace_id": "VARCHAR",
    "metadata": "VARCHAR",
    "source": "VARCHAR",
    "batch_id": "UUID",
    "batch_index": "INTEGER",
    "digest": "VARCHAR",
}
_READ = """
    read_csv($path, columns = $columns, header = false, delim = ',', quote = '"', escape = '"',
             auto_detect = false, nullstr = '\\N', allow_quoted_nulls = false,
             strict_mode = true, parallel = false)
"""


class NoParquet(AforoError):
    """The extra `parquet` is not installed."""

    code = "NO_PARQUET"


class Sums(NamedTuple):
    """What two copies of a month must agree on."""

    rows: int
    quantity: Decimal
    revenue: Decimal
    cost: Decimal


def require_parquet() -> None:
    """Raises NoParquet, which says what to install."""
    if duckdb is None:
        raise NoParquet("archiving writes Parquet with duckdb: pip install 'aforo[parquet]'")


def write_parquet(partition: str, target: Path) -> str:
    """Copy a partition into a Parquet file; the SHA-256 of the file, in hex.

    A file that is there is replaced, once the new one is whole.
    """
    require_parquet()
    target.parent.mkdir(parents=True, exist_ok=True)
    rows, part = target.with_suffix(".csv"), target.with_suffix(".part")
    try:
        _copy_out(partition, rows)
        with duckdb.connect() as writer:
            writer.execute(f"SET memory_limit = '{MEMORY}'")
            writer.execute("SET preserve_insertion_order = true")
            writer.execute(
                f"COPY (SELECT * FROM {_READ}) TO '{_quoted(part)}'"  # noqa: S608 - our own path
                " (FORMAT parquet, COMPRESSION zstd)",
                {"path": str(rows), "columns": _COLUMNS},
            )
        part.replace(target)
    finally:
        rows.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return sha256_of(target)


def _copy_out(partition: str, rows: Path) -> None:
    columns = ", ".join(
        f"\"{name}\" AT TIME ZONE 'UTC'" if name in _TIMES else f'"{name}"' for name in _COLUMNS
    )
    copy = (
        f"COPY (SELECT {columns} FROM {partition} ORDER BY running_total_id, position, id)"  # noqa: S608 - our own names
        " TO STDOUT (FORMAT csv, NULL '\\N')"
    )
    with rows.open("wb") as file, hot_cursor() as cursor, cursor.copy(copy) as stream:
        for piece in stream:
            file.write(piece)


def sums_in_file(path: Path) -> Sums:
    """Count and sum the rows of a Parquet file, exactly."""
    require_parquet()
    rows, quantity, revenue, cost = 0, ZERO, ZERO, ZERO
    for one in _rows(path, "quantity", "revenue", "cost"):
        rows += 1
        quantity = EXACT.add(quantity, Decimal(one[0]))
        revenue = EXACT.add(revenue, Decimal(one[1]))
        cost = EXACT.add(cost, Decimal(one[2]))
    return Sums(rows, quantity, revenue, cost)


def _rows(path: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    with duckdb.connect() as reader:
        names = ", ".join(columns)
        asked = reader.execute(
            f"SELECT {names} FROM read_parquet($path)",  # noqa: S608 - our own names
            {"path": str(path)},
        )
        while rows := asked.fetchmany(ROWS_AT_A_TIME):
            yield from rows


def sums_in_partition(partition: str) -> Sums:
    """The same of what PostgreSQL holds."""
    with hot_cursor() as cursor:
        row = cursor.execute(
            "SELECT count(*), coalesce(sum(quantity), 0), coalesce(sum(revenue), 0),"  # noqa: S608 - likewise
            f" coalesce(sum(cost), 0) FROM {partition}"
        ).fetchone()
    return Sums(*row)  # type: ignore[misc]  # an aggregate has a row


def sha256_of(path: Path) -> str:
    """The hash of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
