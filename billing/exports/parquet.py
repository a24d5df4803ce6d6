"""Tables as Parquet, through a file: the format has its index at the end."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from billing.exports.bulk import Column
from metering.archive.parquet import MEMORY, PIECE, require_parquet

try:
    import duckdb
except ModuleNotFoundError:  # it is 70 MB, and only who exports Parquet needs it
    duckdb = None  # type: ignore[assignment]

PARQUET = "application/vnd.apache.parquet"
_READ = """
    read_csv($path, columns = $columns, header = true, delim = ',', quote = '"', escape = '"',
             auto_detect = false, nullstr = '', strict_mode = true, parallel = false)
"""


def parquet_of(table: Iterable[str], columns: Sequence[Column]) -> Iterator[bytes]:
    """The CSV of `table` as Parquet, piece by piece. Memory holds one, the disk all of it.

    Raises NoParquet at the first piece when the extra `parquet` is not installed.
    """
    require_parquet()
    with TemporaryDirectory(prefix="aforo-") as folder:
        rows, target = Path(folder, "rows.csv"), Path(folder, "rows.parquet")
        with rows.open("w", encoding="utf-8", newline="") as file:
            file.writelines(table)
        _write(rows, target, columns)
        rows.unlink()
        with target.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _write(rows: Path, target: Path, columns: Sequence[Column]) -> None:
    with duckdb.connect() as writer:
        writer.execute(f"SET memory_limit = '{MEMORY}'")
        writer.execute(
            f"COPY (SELECT * FROM {_READ}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)",  # noqa: S608 - our own path
            {"path": str(rows), "columns": {column.name: column.type for column in columns}},
        )
