"""The way to a Redis that is not there, or does not answer."""

import socket
import time

import pytest
from structlog.testing import capture_logs

from aforo.edge import line
from aforo.edge.line import Away, Line


def test_a_redis_that_refuses_is_left_alone_for_a_while_and_told_of_once(monkeypatch):
    monkeypatch.setattr(line, "SILENT_SECONDS", 0.0)
    nowhere = Line("redis://127.0.0.1:1/0")
    with capture_logs() as lines:
        for question in (
            lambda: nowhere.look("", [], entry="key"),
            lambda: nowhere.tenant("acme"),
        ) * 2:
            with pytest.raises(Away):
                question()
    assert [one["event"] for one in lines] == ["edge_without_redis"]
    monkeypatch.setattr(line, "SILENT_SECONDS", 60.0)
    with pytest.raises(Away):
        nowhere.look("tenant", [("cust_1", b"digest")])
    monkeypatch.setattr(Line, "_client", None)  # is not even tried
    with pytest.raises(Away):
        nowhere.look("", [], entry="key")


def test_a_redis_that_hangs_is_waited_for_no_longer_than_gateways_wait():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        slow, began = Line(f"redis://127.0.0.1:{hanging.getsockname()[1]}/0"), time.monotonic()
        for _ in range(20):
            with pytest.raises(Away):
                slow.look("", [], entry="key")
        assert time.monotonic() - began < 2.0  # three waits, then silence
