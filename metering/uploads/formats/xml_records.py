"""XML: each child of the root is a row; its attributes and children are the columns.

A document type is refused before anything of it is read, so that no entity can be declared.
"""

import io
from collections.abc import Iterator
from xml.parsers import expat

from metering.uploads.rows import MOST_CHARACTERS, BadRow, Row, UnreadableFile

PIECE = 64 * 1024
MOST_LEVELS = 64


def rows(stream: io.BufferedReader) -> Iterator[Row | BadRow]:
    """The records; raises UnreadableFile where the document is not well-formed."""
    records = _Records()
    try:
        while piece := stream.read(PIECE):
            records.parser.Parse(piece, False)
            yield from records.take()
        records.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UnreadableFile(f"the file is not well-formed XML: {error}") from None
    yield from records.take()


class _Records:
    """Builds the record that is open; those that are closed wait to be taken."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._open: list[tuple[dict[str, object], list[str]]] = []
        self._size = 0
        self._closed: list[Row | BadRow] = []

    def take(self) -> list[Row | BadRow]:
        closed, self._closed = self._closed, []
        return closed

    def _refuse(self, *_: object) -> None:
        raise UnreadableFile("a document type (<!DOCTYPE ...>) is not accepted")

    def _start(self, _name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == 1:
            self._size = 0
        if len(self._open) >= MOST_LEVELS:
            raise UnreadableFile(f"elements are nested more than {MOST_LEVELS} levels deep")
        self._grow(1 + sum(map(len, attributes.values())))
        self._open.append(({_local(name): value for name, value in attributes.items()}, []))

    def _text(self, text: str) -> None:
        if len(self._open) > 1:  # what stands between records says nothing
            self._grow(len(text))
            self._open[-1][1].append(text)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MOST_CHARACTERS:
            line = self.parser.CurrentLineNumber
            raise UnreadableFile(f"line {line}: a record of over {MOST_CHARACTERS} characters")

    def _end(self, name: str) -> None:
        fields, texts = self._open.pop()
        text = "".join(texts).strip()
        if len(self._open) > 1:
            _add(self._open[-1][0], _local(name), fields or text)
        elif self._open:
            why = f"<{name}> has no attributes and no children"
            self._closed.append(fields or BadRow(text, why))


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _add(fields: dict[str, object], name: str, value: object) -> None:
    """A name that comes again makes a list."""
    before = fields.get(name)
    if before is None:
        fields[name] = value
    elif isinstance(before, list):
        before.append(value)
    else:
        fields[name] = [before, value]
