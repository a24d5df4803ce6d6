"""Rows of a file as chunks: each becomes one batch of the inbox, and is counted whole or not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from metering.ingest import normalising
from metering.ingest.events import Refusal
from metering.uploads.mapping import ColumnMapping
from metering.uploads.rows import BadRow, Row

ROWS = 5_000  # a drain merges 20,000: four chunks, of about 100 kB compressed each
BYTES = 4 * 1024 * 1024  # of events; rows with large metadata make shorter chunks
SHOWN = 1_000  # characters of a refused row in the report
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Chunk:
    """Some rows in order; `first` is how many rows the file has before them."""

    first: int
    rows: list[Row | BadRow] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    bad: dict[int, Refusal] = field(default_factory=dict)

    @property
    def after(self) -> int:
        """How many rows were read when these are."""
        return self.first + len(self.rows)

    def content(self, index: int) -> str:
        """A row as it was read, for people: shortened, without credentials."""
        row = self.rows[index]
        raw = _encoder.encode(row.text if isinstance(row, BadRow) else row)
        return normalising.kept(raw).decode(errors="replace").replace("\x00", "")[:SHOWN]


def chunks_of(
    rows: Iterable[Row | BadRow], mapping: ColumnMapping, *, first: int
) -> Iterator[Chunk]:
    """The rows after the first so many, in chunks: the same ones however often it is resumed."""
    chunk, size = Chunk(first), 0
    for row in islice(rows, first, None):
        event = _event(chunk, row, mapping)
        chunk.rows.append(row)
        chunk.events.append(event)
        size += len(event)
        if len(chunk.rows) >= ROWS or size >= BYTES:
            yield chunk
            chunk, size = Chunk(chunk.after), 0
    if chunk.rows:
        yield chunk


def _event(chunk: Chunk, row: Row | BadRow, mapping: ColumnMapping) -> bytes:
    """The row's event; of a bad row what was read, so that its dead letter holds that."""
    if isinstance(row, BadRow):
        chunk.bad[len(chunk.rows)] = Refusal("INVALID_EVENT", row.why)
        return normalising.kept(_encoder.encode(row.text))
    return mapping.event(row, chunk.after + 1)
