"""What a reader of any format yields: rows, and what stands where a row should be."""

from dataclasses import dataclass

from aforo.errors import Unreadable

MOST_CHARACTERS = 1024 * 1024  # of one line, row or record; the longest known are 20 kB

Row = dict[str, object]
"""Values by column: text (CSV, XML), JSON as it was written (`msgspec.Raw`), or nested XML."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """What cannot be a row, and why; the rows after it can still be told."""

    text: str
    why: str


class UnreadableFile(Unreadable):
    """The file cannot be read to its end, so nothing of it is counted."""

    code = "UNREADABLE_FILE"
