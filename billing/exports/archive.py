"""Zip files that are sent while they are made: memory holds one piece, whatever the size."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from io import RawIOBase
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ZIP = "application/zip"
PIECE = 1 << 16  # bytes that are gathered before they are sent
_EPOCH = (1980, 1, 1, 0, 0, 0)  # before which zip knows no time

Files = Iterable[tuple[str, Iterable[bytes]]]
"""Names and contents, each made when its turn comes."""


class _Outbox(RawIOBase):
    """What `zipfile` writes to; it cannot seek, so sizes follow what they are of."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: object) -> int:
        written = bytes(piece)  # type: ignore[call-overload]  # whatever holds bytes
        self._pieces.append(written)
        self._size += len(written)
        return len(written)

    def taken(self, *, least: int = 0) -> Iterator[bytes]:
        """What was written since, unless it is less than `least` bytes."""
        if self._size > least:
            yield b"".join(self._pieces)
            self._pieces, self._size = [], 0


def zipped(files: Files, *, at: datetime) -> Iterator[bytes]:
    """The bytes of a zip: the same files and time, the same bytes."""
    outbox = _Outbox()
    with ZipFile(outbox, "w", ZIP_DEFLATED) as archive:
        for name, pieces in files:
            with archive.open(_entry(name, at), "w", force_zip64=True) as entry:
                for piece in pieces:
                    entry.write(piece)
                    yield from outbox.taken(least=PIECE)
            yield from outbox.taken(least=PIECE)
    yield from outbox.taken()


def _entry(name: str, at: datetime) -> ZipInfo:
    entry = ZipInfo(name, at.timetuple()[:6] if at.year >= _EPOCH[0] else _EPOCH)
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


class Manifest:
    """SHA-256 of every file that passes through, by name."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}

    @property
    def digests(self) -> Mapping[str, str]:
        return self._digests

    def noting(self, files: Files) -> Files:
        """The same files; each is noted when the last of it has passed."""
        for name, pieces in files:
            yield name, self._noted(name, pieces)

    def _noted(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
            yield piece
        self._digests[name] = digest.hexdigest()
