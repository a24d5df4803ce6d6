"""What real clients put on the wire, at the real web server: no body is swallowed or halved."""

import gzip
import json
import os
import socket
import subprocess
import sys
import zlib
from contextlib import contextmanager
from functools import partial

import lz4.frame
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from aforo.embedded.probes import bindable, http_answers
from metering.models import InboxBatch
from tests.factories import ApiKeyFactory, BillableUnitFactory, TenantFactory
from tests.metering import events
from tests.metering.events import batch, stored_events
from tests.waiting import eventually

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
TOKEN = "sk_live_" + "w" * 40
event = partial(events.event, occurredAt=...)
MANY = batch(*(event(number, metadata={"text": "x" * 300}) for number in range(3_000)))  # 1.4 MB


@contextmanager
def granian(port):
    """The web process as `aforo up` starts it, on the database of this test run."""
    settings = connection.settings_dict
    address = make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        host=settings["HOST"],
        port=settings["PORT"],
    )
    command = [sys.executable, "-P", "-m", "granian", "aforo.wsgi:application"]
    options = ["--interface", "wsgi", "--no-ws", "--host", "127.0.0.1", "--port", str(port)]
    threads = ["--workers", "1", "--blocking-threads", "1"]
    environment = os.environ | {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "aforo.settings"}
    web = subprocess.Popen([*command, *options, *threads], env=environment)
    try:
        yield
    finally:
        web.terminate()
        web.wait()


@pytest.fixture(scope="module")
def port(django_db_setup, django_db_blocker):
    """One web process for all tests here, and rows that it can see."""
    with django_db_blocker.unblock():
        tenant = TenantFactory()
        owned = (
            BillableUnitFactory(tenant=tenant, name="calls"),
            ApiKeyFactory(tenant=tenant, secret=TOKEN),
        )
        port = bindable(0)
        with granian(port):
            assert eventually(lambda: http_answers(port), within=30)
            yield port
        InboxBatch.objects.all().delete()
        for row in (*owned, tenant):
            row.delete()


@pytest.fixture(autouse=True)
def empty_inbox(port, db):
    InboxBatch.objects.all().delete()


class Wire:
    """One connection, byte by byte."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.answers = self.socket.makefile("rb")

    def send(self, *parts):
        for part in parts:
            self.socket.sendall(part if isinstance(part, bytes) else part.encode())

    def answer(self):
        """(status, headers, body) of the next answer."""
        status = int(self.answers.readline().split()[1])
        headers = {}
        while line := self.answers.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.answers.read(int(headers.get("content-length", 0)))

    def close(self):
        self.answers.close()
        self.socket.close()


@pytest.fixture
def wire(port):
    wire = Wire(port)
    yield wire
    wire.close()


def head(*more, method="POST", path="/v1/ingest/batch"):
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        *more,
    ]
    return "\r\n".join(lines) + "\r\n\r\n"


def chunked(body, size):
    chunks = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def kept():
    return [stored_events(row) for row in InboxBatch.objects.all()]


def test_an_h2c_upgrade_with_a_body_is_served_whole(wire):
    """As Java's own HTTP client sends its first request."""
    body = batch(event(1), event(2))
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings",
        f"Content-Length: {len(body)}",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        "Upgrade: h2c",
        "User-Agent: Java-http-client/17.0.2",
    )
    wire.send(head(*upgrade), body)
    status, _, answer = wire.answer()
    assert status == 202
    assert json.loads(answer)["accepted"] == 2
    assert kept() == [[event(1), event(2)]]


def test_requests_after_an_h2c_upgrade_are_served_on_the_same_connection(wire):
    """The upgrade is declined: its client goes on with HTTP/1.1, as it is bound to."""
    for number, more in enumerate((("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), ())):
        body = batch(event(number))
        wire.send(head(f"Content-Length: {len(body)}", *more), body)
        assert wire.answer()[0] == 202
    assert kept() == [[event(0)], [event(1)]]


def test_an_h2c_upgrade_with_a_chunked_body_is_served_whole(wire):
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    wire.send(head(*upgrade, "Transfer-Encoding: chunked"), chunked(batch(event(1), event(2)), 16))
    assert wire.answer()[0] == 202
    assert kept() == [[event(1), event(2)]]


DOORS = (
    "/v1/ingest",
    "/v1/ingest/batch",
    "/v1/ingest/events",
    "/v1/ingest/events/batch",
    "/v1/events",
    "/v1/meter",
    "/api/v1/ingest/compound",
    "/api/v1/ingest/compound/batch",
)


@pytest.mark.parametrize("path", DOORS)
def test_every_door_is_served_and_answers_no_redirect(wire, path):
    body = batch(event(1))
    length = f"Content-Length: {len(body)}"
    wire.send(head(length, path=path), body)
    assert wire.answer()[0] == 202
    wire.send(head(length, path=f"{path}/"), body)
    status, headers, _ = wire.answer()
    assert (status, "location" in headers) == (404, False)
    assert kept() == [[event(1)]]


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", zstd.compress),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_a_compressed_body_is_opened(wire, name, compress, is_chunked):
    body = compress(MANY)
    if is_chunked:
        wire.send(
            head("Transfer-Encoding: chunked", f"Content-Encoding: {name}"), chunked(body, 999)
        )
    else:
        wire.send(head(f"Content-Length: {len(body)}", f"Content-Encoding: {name}"), body)
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["accepted"]) == (202, 3_000)


def test_a_bomb_is_413_and_the_next_request_is_served(wire):
    bomb = gzip.compress(b" " * (100 * 1024 * 1024))
    wire.send(head(f"Content-Length: {len(bomb)}", "Content-Encoding: gzip"), bomb)
    assert wire.answer()[0] == 413
    body = batch(event(1))
    wire.send(head(f"Content-Length: {len(body)}"), body)
    assert wire.answer()[0] == 202
    assert kept() == [[event(1)]]


@pytest.mark.parametrize("size", [7, 1_000_000])
def test_a_chunked_body_is_read_whole(wire, size):
    wire.send(head("Transfer-Encoding: chunked"), chunked(batch(event(1), event(2)), size))
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["accepted"]) == (202, 2)
    assert kept() == [[event(1), event(2)]]


def test_a_large_chunked_body_is_read_whole(wire):
    wire.send(head("Transfer-Encoding: chunked"), chunked(MANY, 65_536))
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["accepted"]) == (202, 3_000)


def test_a_chunked_body_over_10_mib_is_413(wire):
    body = batch(event(1)) + b" " * (10 * 1024 * 1024)
    wire.send(head("Transfer-Encoding: chunked"), chunked(body, 1_000_000))
    status, headers, _ = wire.answer()
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert kept() == []


def test_an_empty_chunked_body_is_400(wire):
    wire.send(head("Transfer-Encoding: chunked"), b"0\r\n\r\n")
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["code"]) == (400, "EMPTY_BODY")


def test_no_body_at_all_is_400(wire):
    wire.send(head())
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["code"]) == (400, "EMPTY_BODY")


def test_a_client_that_waits_to_continue_is_told_to(wire):
    body = batch(event(1))
    wire.send(head(f"Content-Length: {len(body)}", "Expect: 100-continue"))
    status, _, _ = wire.answer()
    assert status == 100
    wire.send(body)
    status, _, _ = wire.answer()
    assert status == 202
    assert kept() == [[event(1)]]


def test_a_body_that_comes_slowly_is_awaited(wire):
    body = batch(event(1))
    wire.send(head(f"Content-Length: {len(body)}"), *(body[at : at + 1] for at in range(len(body))))
    status, _, _ = wire.answer()
    assert status == 202
    assert kept() == [[event(1)]]


@pytest.mark.parametrize("whole", [False, True], ids=["half an event", "all but white space"])
def test_a_body_cut_off_in_the_middle_leaves_nothing(wire, port, whole):
    body = batch(event(1))
    sent = body if whole else body[: len(body) // 2]
    wire.send(head(f"Content-Length: {len(body) + 100}"), sent)
    wire.socket.shutdown(socket.SHUT_WR)
    assert b"202" not in wire.answers.readline()
    again = Wire(port)  # the only thread is free again, and has forgotten the broken request
    again.send(head(f"Content-Length: {len(body)}"), batch(event(2)))
    assert again.answer()[0] == 202
    again.close()
    assert kept() == [[event(2)]]


def test_a_chunked_body_cut_off_in_the_middle_leaves_nothing(wire):
    half = batch(event(1))[:60]
    wire.send(head("Transfer-Encoding: chunked"), b"%x\r\n%s\r\n" % (len(half), half))
    wire.socket.shutdown(socket.SHUT_WR)
    assert b"202" not in wire.answers.readline()
    assert kept() == []


def test_a_body_over_10_mib_is_413_however_it_is_announced(wire):
    wire.send(head(f"Content-Length: {11 * 1024 * 1024}"), b" " * 65_536)
    status, headers, _ = wire.answer()
    assert (status, headers["content-type"]) == (413, "application/problem+json")


def test_requests_on_one_connection_keep_to_their_bodies(wire):
    for number in range(3):
        body = batch(event(number))
        wire.send(head(f"Content-Length: {len(body)}"), body)
        assert wire.answer()[0] == 202
    assert kept() == [[event(0)], [event(1)], [event(2)]]


def test_pipelined_requests_are_answered_in_order(wire):
    body = batch(event(1))
    request = head(f"Content-Length: {len(body)}").encode() + body
    wire.send(request + request)
    assert [wire.answer()[0], wire.answer()[0]] == [202, 202]


@pytest.mark.parametrize("path", ["/v1/ingest/batch/", "/v1//ingest", "/v1/ingest/../ingest"])
def test_no_path_is_answered_with_a_redirect(wire, path):
    body = batch(event(1))
    wire.send(head(f"Content-Length: {len(body)}", path=path), body)
    assert wire.answer()[0] == 404


def test_a_key_in_a_header_that_the_server_cannot_read_is_refused(wire):
    """Taken for none, it would be counted again with each retry."""
    body = batch(event(1, idempotencyKey=...))
    wire.send(head(f"Content-Length: {len(body)}", "Idempotency-Key: größe-✓"), body)
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["errors"][0]["code"]) == (422, "INVALID_EVENT")
