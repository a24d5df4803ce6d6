"""The formats of files, told apart by how they begin, whatever the file is called."""

import io
import re
from collections.abc import Callable, Iterator

from metering.models import Upload
from metering.uploads.formats import delimited, json_array, ndjson, xml_records
from metering.uploads.rows import BadRow, Row, UnreadableFile
from metering.uploads.stream import MARK

Format = Upload.Format
_OTHER_UNICODE = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_LOOK = 4_096
_READERS: dict[str, Callable[[io.BufferedReader], Iterator[Row | BadRow]]] = {
    Format.CSV: delimited.rows,
    Format.NDJSON: ndjson.rows,
    Format.JSON: json_array.rows,
    Format.XML: xml_records.rows,
}


def format_of(stream: io.BufferedReader) -> str:
    """How the file is written, by its first characters, which stay in the stream.

    Raises UnreadableFile when it is empty or UTF-16.
    """
    start = stream.peek(_LOOK)[:_LOOK]
    if start.startswith(_OTHER_UNICODE) or start[1:2] == b"\x00":
        raise UnreadableFile("the file is not UTF-8 but UTF-16 or binary; save it as UTF-8")
    start = start.removeprefix(MARK).lstrip()
    if not start:
        raise UnreadableFile("the file is empty")
    if json_array.is_start(start):
        return Format.JSON
    if start.startswith(b"{"):
        return Format.NDJSON
    return Format.XML if re.match(rb"<[?!A-Za-z_]", start) else Format.CSV


def rows(stream: io.BufferedReader, file_format: str) -> Iterator[Row | BadRow]:
    """The rows of a file in order; raises UnreadableFile where it cannot be read on."""
    return _READERS[file_format](stream)
