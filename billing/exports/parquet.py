"""Tables as Parquet, through a file: the format has its index at the end."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from aforo.errors import Refused
from billing.exports.bulk import Column

PARQUET = "application/vnd.apache.parquet"
PIECE = 1 << 20
MEMORY = "512MB"  # of the writer; beyond it, it uses the disk
_WRITER = "duckdb"  # loaded when first used: 32 MB and half a second for every web process
_READ = """
    read_csv($path, columns = $columns, header = true, delim = ',', quote = '"', escape = '"',
             auto_detect = false, nullstr = '', strict_mode = true, parallel = false)
"""


def require_parquet() -> None:
    """Raises Refused NO_PARQUET, which says what to install."""
    if find_spec(_WRITER) is None:
        raise Refused("Parquet needs an extra: pip install 'aforo[parquet]'", code="NO_PARQUET")


def parquet_of(table: Iterable[str], columns: Sequence[Column]) -> Iterator[bytes]:
    """The CSV of `table` as Parquet, piece by piece. Memory holds one, the disk all of it."""
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
    with import_module(_WRITER).connect() as writer:
        writer.execute(f"SET memory_limit = '{MEMORY}'")
        writer.execute(
            f"COPY (SELECT * FROM {_READ}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)",  # noqa: S608 - our own path
            {"path": str(rows), "columns": {column.name: column.type for column in columns}},
        )
