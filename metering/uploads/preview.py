"""The first rows of a file, for people and for the check whether its columns can be used."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from metering.ingest import normalising
from metering.uploads import formats
from metering.uploads.rows import BadRow, Row, UnreadableFile

ROWS = 20
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Preview:
    """The format, the columns in the order they come up, and the first rows."""

    format: str
    columns: tuple[str, ...]
    rows: tuple[Row | BadRow, ...]

    def cells(self) -> Iterator[list[str]]:
        """Each row as text by column, without credentials."""
        for row in self.rows:
            if isinstance(row, BadRow):
                yield [row.text, *[""] * (len(self.columns) - 1)]
            else:
                yield [shown(row.get(column, "")) for column in self.columns]


def preview_of(stream: io.BufferedReader) -> Preview:
    """Look at the start of a file; raises UnreadableFile when it has no rows."""
    file_format = formats.format_of(stream)
    rows = tuple(islice(formats.rows(stream, file_format), ROWS))
    if not rows:
        raise UnreadableFile("the file has no rows")
    named = (name for row in rows if not isinstance(row, BadRow) for name in row if name)
    return Preview(file_format, tuple(dict.fromkeys(named)), rows)


def shown(value: object) -> str:
    """One value as people read it."""
    raw = normalising.kept(_encoder.encode(value)).decode(errors="replace")
    return raw[1:-1] if raw.startswith('"') else raw
