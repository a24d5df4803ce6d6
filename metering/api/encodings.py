"""Compressed bodies: opened piece by piece, never beyond the limit, whatever they promise."""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame

from aforo.errors import TooLarge, Unreadable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ZLIB_HEADER = 0x0F, 8  # the method in the low bits of the first byte of a zlib stream
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
MOST_STREAMS = 64  # each costs a copy of what follows it: a body of empty ones would take minutes


class Decompressor(Protocol):
    """One stream, as the modules of the standard library open theirs."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


Open = Callable[[bytes], Decompressor]


def _deflated(body: bytes) -> Decompressor:
    """RFC 9110 means a zlib stream by deflate; some senders mean the bare one inside of it."""
    mask, method = _ZLIB_HEADER
    has_header = len(body) > 1 and body[0] & mask == method and not int.from_bytes(body[:2]) % 31
    return zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)


_OPEN: dict[str, Open] = {
    "gzip": lambda _: zlib.decompressobj(_GZIP_WINDOW),
    "x-gzip": lambda _: zlib.decompressobj(_GZIP_WINDOW),
    "deflate": _deflated,
    "lz4": lambda _: lz4.frame.LZ4FrameDecompressor(),
    "zstd": lambda _: zstd.ZstdDecompressor(),
}
ENCODINGS = ("gzip", "deflate", "lz4", "zstd")
_BROKEN = (zlib.error, zstd.ZstdError, RuntimeError, EOFError)


def opened(body: bytes, encoding: str, *, limit: int) -> bytes:
    """The body under a `Content-Encoding`, which names one encoding, or none by `identity`.

    Raises Unreadable (400) for an encoding that is not understood and for a stream that is broken
    or breaks off, TooLarge (413) once more than `limit` bytes have come out of it.
    """
    name = encoding.strip().lower()
    if name == "identity" or not body:
        return body
    if name not in _OPEN:
        raise Unreadable(
            f"Content-Encoding must be one of {', '.join(ENCODINGS)}", code="UNKNOWN_ENCODING"
        )
    try:
        return _inflated(_OPEN[name], body, name, limit)
    except _BROKEN:
        raise Unreadable(f"the body is no {name}", code="BROKEN_BODY") from None


def _inflated(open_stream: Open, body: bytes, name: str, limit: int) -> bytes:
    """All streams of the body, one after the other: compressors may end one and begin the next."""
    parts: list[bytes] = []
    room = limit + 1
    while body and room:
        if len(parts) == MOST_STREAMS:
            raise Unreadable(f"the body is over {MOST_STREAMS} streams", code="BROKEN_BODY")
        stream = open_stream(body)
        part = stream.decompress(body, room)
        parts.append(part)
        room -= len(part)
        if room and not stream.eof:
            raise Unreadable(f"the {name} of the body breaks off", code="BROKEN_BODY")
        body = stream.unused_data
    if not room:
        raise TooLarge(f"the body is over {limit} bytes when opened")
    return b"".join(parts)
