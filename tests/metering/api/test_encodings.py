"""Compressed bodies: the four encodings that gateways use, and a bound that nothing gets past."""

import gzip
import sys
import zlib
from contextlib import suppress

import lz4.frame
import pytest

from aforo.errors import TooLarge, Unreadable
from metering.api.encodings import MOST_STREAMS, opened
from tests.metering.events import batch, event, inbox, outcomes, stored_events

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 10 * 1024 * 1024


def raw_deflate(body):
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


COMPRESSED = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "lz4": ("lz4", lz4.frame.compress),
    "zstd": ("zstd", zstd.compress),
}
each_encoding = pytest.mark.parametrize(("name", "compress"), COMPRESSED.values(), ids=COMPRESSED)
BODY = batch(*(event(number) for number in range(200)))


def code_of(answer):
    return answer.status_code, answer.json()["code"]


@each_encoding
@pytest.mark.parametrize(
    "path",
    ["/v1/ingest", "/v1/ingest/events", "/v1/events", "/v1/meter", "/api/v1/ingest/compound"],
)
def test_every_door_takes_every_encoding(seller, name, compress, path):
    answer = seller.post(compress(batch(event(1))), path=path, **{"Content-Encoding": name})
    assert answer.status_code == 202
    assert stored_events(inbox()[0]) == [event(1)]


@each_encoding
def test_what_was_compressed_is_counted_like_the_rest(seller, name, compress):
    events = [event(number) for number in range(50)]
    seller.send(*events)
    seller.post(compress(batch(*events)), **{"Content-Encoding": name.upper()})
    seller.drain()
    assert outcomes() == {"counted": 50, "duplicates": 50}


@each_encoding
def test_streams_one_after_the_other_are_one_body(name, compress):
    halves = compress(BODY[:700]) + compress(BODY[700:])
    if name == "deflate":  # it has no frame that says where one ends and the next begins
        halves = compress(BODY)
    assert opened(halves, name, limit=LIMIT) == BODY


@each_encoding
@pytest.mark.parametrize("cut", [1, 4, 9, -1])
def test_a_stream_that_breaks_off_is_refused(name, compress, cut):
    with pytest.raises(Unreadable, match=r"breaks off|no (x-)?(gzip|deflate|lz4|zstd)"):
        opened(compress(BODY)[:cut], name, limit=LIMIT)


@each_encoding
@pytest.mark.parametrize("garbage", [b"garbage, and more of it", BODY, b"\x00" * 64])
def test_what_is_not_compressed_is_refused(seller, name, compress, garbage):
    answer = seller.post(garbage, **{"Content-Encoding": name})
    assert code_of(answer) == (400, "BROKEN_BODY")
    assert inbox() == []


@each_encoding
def test_a_damaged_stream_is_never_taken_for_the_body(name, compress):
    whole = bytearray(compress(BODY))
    whole[len(whole) // 2] ^= 0xFF
    with suppress(Unreadable):  # or it is opened to something else, which is no JSON of ours
        assert opened(bytes(whole), name, limit=LIMIT) != BODY


@each_encoding
def test_a_bomb_is_not_opened(seller, name, compress):
    bomb = compress(b" " * (200 * 1024 * 1024))
    assert len(bomb) < LIMIT
    answer = seller.post(bomb, **{"Content-Encoding": name})
    assert code_of(answer) == (413, "TOO_LARGE")
    assert inbox() == []


@each_encoding
@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_the_bound_is_exact(name, compress, more, fits):
    body = compress(b" " * (LIMIT + more))
    if fits:
        assert len(opened(body, name, limit=LIMIT)) == LIMIT
    else:
        with pytest.raises(TooLarge):
            opened(body, name, limit=LIMIT)


def test_a_body_of_empty_streams_ends_soon():
    empty = gzip.compress(b"")
    assert opened(empty * MOST_STREAMS, "gzip", limit=LIMIT) == b""
    with pytest.raises(Unreadable, match="streams"):
        opened(empty * 400_000, "gzip", limit=LIMIT)


def test_a_compressed_body_over_10_mib_is_413(seller):
    answer = seller.post(b"\x1f\x8b" + b"x" * LIMIT, **{"Content-Encoding": "gzip"})
    assert code_of(answer) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    "encoding", ["br", "gzip, gzip", "gzip,identity", "zstd, gzip", "compress", "", "gzip;q=1"]
)
def test_an_encoding_that_is_not_understood_is_refused(seller, encoding):
    answer = seller.post(gzip.compress(BODY), **{"Content-Encoding": encoding})
    assert code_of(answer) == (400, "UNKNOWN_ENCODING")
    assert inbox() == []


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity"])
def test_an_empty_body_is_empty_in_every_encoding(seller, encoding):
    assert code_of(seller.post(b"", **{"Content-Encoding": encoding})) == (400, "EMPTY_BODY")


def test_identity_is_no_encoding(seller):
    assert seller.post(BODY, **{"Content-Encoding": " Identity "}).status_code == 202


def test_nothing_is_opened_without_a_key(seller, monkeypatch):
    monkeypatch.setattr("metering.api.encodings._OPEN", {})
    seller.token = "sk_test_wrong"
    assert seller.post(gzip.compress(BODY), **{"Content-Encoding": "gzip"}).status_code == 401
