"""CSV and its kin: a heading, then rows; commas, semicolons, tabs or bars between the cells."""

import csv
import io
from collections.abc import Iterator
from itertools import chain, zip_longest

from metering.uploads.rows import BadRow, Row, UnreadableFile
from metering.uploads.stream import lines_of

DELIMITERS = ",;\t|"


def rows(stream: io.BufferedReader) -> Iterator[Row | BadRow]:
    """Rows by the names of the heading. Blank lines are none; a missing last cell is empty.

    Quotes are taken strictly: one that is never closed would swallow rows without a word.
    """
    lines = lines_of(stream)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise UnreadableFile("the file is empty")
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        names = _heading(next(reader))
        width = len(names)
        for cells in reader:
            if len(cells) > width and any(cells[width:]):
                yield BadRow(
                    delimiter.join(cells), f"the row has {len(cells)} cells, the heading {width}"
                )
            elif cells:
                yield dict(zip_longest(names, cells[:width], fillvalue=""))
    except csv.Error as error:
        raise UnreadableFile(f"line {reader.line_num} cannot be read: {error}") from None


def _heading(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for name in names:
        if name and names.count(name) > 1:
            raise UnreadableFile(f"the heading names the column {name!r} twice")
    return names
