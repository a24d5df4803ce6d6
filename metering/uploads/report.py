"""The report of an upload: the rows that were refused, as CSV, written while it is read."""

import csv
from collections.abc import Iterator

from metering.models import Upload
from metering.selectors.uploads import report_of

HEADING = ("row", "code", "detail", "content")
CONTENT_TYPE = "text/csv; charset=utf-8"


class _Line:
    """What `csv` writes to: hands each line back."""

    def write(self, line: str) -> str:
        return line


def lines_of(upload: Upload) -> Iterator[str]:
    """The heading, and a line per refused row."""
    writer = csv.writer(_Line())
    yield writer.writerow(HEADING)
    for row in report_of(upload):
        yield writer.writerow(row)


def disposition_of(upload: Upload) -> str:
    """The header that names the file for whoever downloads it."""
    return f'attachment; filename="refused-{upload.pk}.csv"'
