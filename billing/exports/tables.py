"""Tables as CSV, written while they are read."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from aforo.money import plain

CSV = "text/csv; charset=utf-8"
LINES_AT_A_TIME = 500  # ~100 KB: a line each would be a packet each
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Figure(str):
    """Text that is a number with all its decimals: no formula, though it may begin with a minus."""

    __slots__ = ()


class _Line:
    """What `csv` writes to: hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_of(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The heading and the rows, some at a time. Numbers keep each digit, times are RFC 3339.

    A text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    writer = csv.writer(_Line())
    lines = [writer.writerow(heading)]
    for row in rows:
        lines.append(writer.writerow([cell(value) for value in row]))
        if len(lines) >= LINES_AT_A_TIME:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)


def cell(value: object) -> str:
    """`value` as it stands in a table; None is empty."""
    text = _spelled(value)
    is_said = isinstance(value, str) and not isinstance(value, Figure)
    return f"'{text}" if is_said and text.startswith(_FORMULA) else text


def _spelled(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return plain(value)
        case datetime():
            return moment(value)
        case bytes() | memoryview():
            return bytes(value).hex()
    return str(value)


def moment(value: datetime) -> str:
    """A time of UTC as the wire has it."""
    return value.isoformat().replace("+00:00", "Z")
