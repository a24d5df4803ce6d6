"""A JSON array of objects, also as `{"events": [...]}`, read one element at a time."""

import io
import json
import re
from collections.abc import Iterator

from metering.uploads.formats.ndjson import row_of
from metering.uploads.rows import MOST_CHARACTERS, BadRow, Row, UnreadableFile
from metering.uploads.stream import not_utf8, text_of

PIECE = 64 * 1024
_START = re.compile(r'\s*(?:\[|\{\s*"events"\s*:\s*\[)')
_SPACE = re.compile(r"[ \t\r\n]*")
# Only where a value ends is asked for: numbers stay text, so that no digit limit stops us.
_scanner = json.JSONDecoder(parse_int=str, parse_float=str)


def is_start(text: bytes) -> bool:
    """Whether a file that begins like this is one array."""
    return _START.match(text.decode(errors="replace")) is not None


def rows(stream: io.BufferedReader) -> Iterator[Row | BadRow]:
    """The elements; raises UnreadableFile where the array breaks off or is none."""
    number = 0
    try:
        array = _Array(text_of(stream))
        while (element := array.element(number)) is not None:
            number += 1
            yield row_of(element.encode())
    except UnicodeDecodeError as error:
        raise not_utf8(f"after element {number}", error) from None


class _Array:
    """A window on the text of the array that holds one element at a time, and what follows."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._window = ""
        self._at = 0
        self._more()
        start = _START.match(self._window)
        if start is None:
            raise UnreadableFile("the file is no JSON array")
        self._at = start.end()
        self._is_wrapped = "{" in start[0]

    def element(self, number: int) -> str | None:
        """The text of the next element; None after the last."""
        follows = self._next()
        if follows == "]":
            self._require_end()
            return None
        if number:
            if follows != ",":
                raise UnreadableFile(f"after element {number} comes {follows!r}, not a comma")
            self._at += 1
            self._next()
        while True:
            try:
                _, end = _scanner.raw_decode(self._window, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                self._require_more(number, str(error))
                continue
            if end < len(self._window):  # a number at the end of the window may go on
                element, self._at = self._window[self._at : end], end
                return element
            self._require_more(number, "the file breaks off")

    def _next(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            match = _SPACE.match(self._window, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                return ""

    def _require_more(self, number: int, why: str) -> None:
        if len(self._window) - self._at > MOST_CHARACTERS or not self._more():
            raise UnreadableFile(f"element {number + 1} cannot be read: {why}")

    def _more(self) -> bool:
        """Read on; the window grows by what it holds, so that a long element is tried seldom."""
        kept = self._window[self._at :]
        piece = self._text.read(max(PIECE, len(kept)))
        self._window, self._at = kept + piece, 0
        return bool(piece)

    def _require_end(self) -> None:
        self._at += 1
        rest = self._next()
        if self._is_wrapped and rest == "}":
            self._at += 1
            rest = self._next()
        if rest:
            raise UnreadableFile(f"after the array comes {rest!r}")
