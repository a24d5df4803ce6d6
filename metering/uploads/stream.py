"""The bytes of a file: unpacked where it is packed, and its text line by line, never all of it."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, cast

from metering.uploads.rows import MOST_CHARACTERS, UnreadableFile

BUFFER = 256 * 1024
MARK = b"\xef\xbb\xbf"  # of UTF-8: some programs begin files with it
_GZIP = b"\x1f\x8b"
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


class Pieces(io.RawIOBase):
    """Pieces of bytes, one after the other, as one stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Unpacked(io.RawIOBase):
    """What a gzip file holds, of which no more is unpacked than `most` bytes."""

    def __init__(self, packed: BinaryIO, most: int | None) -> None:
        self._packed = packed
        self._file = gzip.GzipFile(fileobj=packed)
        self._most = most
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = self._file.readinto(buffer)
        except _BROKEN as error:
            raise UnreadableFile(f"the gzip file is broken: {error}") from None
        self._count += count
        if self._most is not None and self._count > self._most:
            raise UnreadableFile(f"the file unpacks to more than {self._most} bytes")
        return count

    def close(self) -> None:
        self._packed.close()
        super().close()


def opened(raw: io.RawIOBase, *, most: int | None = None) -> io.BufferedReader:
    """A stream with a view of what comes next; a gzip file is unpacked, to `most` bytes."""
    stream: io.BufferedReader = io.BufferedReader(raw, BUFFER)
    if stream.peek(2)[:2] != _GZIP:
        return stream
    return io.BufferedReader(_Unpacked(cast(BinaryIO, stream), most), BUFFER)


def text_of(stream: io.BufferedReader) -> io.TextIOWrapper:
    """The stream as text, with line ends as they are and without a byte order mark."""
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def lines_of(stream: io.BufferedReader) -> Iterator[str]:
    """The lines of UTF-8 text; raises UnreadableFile for other encodings and endless lines."""
    number = 0
    while line := stream.readline(MOST_CHARACTERS):
        number += 1
        if len(line) == MOST_CHARACTERS:
            raise UnreadableFile(f"line {number} is longer than {MOST_CHARACTERS} bytes")
        try:
            yield (line.removeprefix(MARK) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            raise not_utf8(f"in line {number}", error) from None


def not_utf8(where: str, error: UnicodeDecodeError) -> UnreadableFile:
    byte = error.object[error.start]
    return UnreadableFile(
        f"the file is not UTF-8: {where} stands the byte 0x{byte:02x}; save it as UTF-8"
    )
