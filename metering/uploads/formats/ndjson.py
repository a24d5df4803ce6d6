"""NDJSON: one JSON object per line; a bad line is one bad row."""

import io
from collections.abc import Iterator

from metering.ingest.events import Refusal, fields_of
from metering.uploads.rows import MOST_CHARACTERS, BadRow, Row, UnreadableFile
from metering.uploads.stream import MARK


def rows(stream: io.BufferedReader) -> Iterator[Row | BadRow]:
    """The objects, each value as it was written."""
    number = 0
    while line := stream.readline(MOST_CHARACTERS):
        number += 1
        if len(line) == MOST_CHARACTERS:
            raise UnreadableFile(f"line {number} is longer than {MOST_CHARACTERS} bytes")
        line = line.removeprefix(MARK) if number == 1 else line
        if not line.isspace():
            yield row_of(line)


def row_of(text: bytes) -> Row | BadRow:
    """One JSON object as a row."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return BadRow(text.decode(errors="replace"), f"not UTF-8: {error.reason}")
    fields = fields_of(text)
    if isinstance(fields, Refusal):
        return BadRow(text.decode(), f"not a JSON object: {fields.detail}")
    return dict(fields)
