"""Is the port free, does HTTP answer."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aforo.embedded.probes import HOST, bindable, http_answers
from aforo.embedded.processes import StackError


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        yield taken.getsockname()[1]


def serve_once(status: int) -> int:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer((HOST, 0), Answer)
    threading.Thread(target=lambda: (server.handle_request(), server.server_close())).start()
    return server.server_port


def test_a_free_port_is_taken_as_it_is():
    port = bindable(0)

    assert bindable(port) == port > 0


def test_a_port_in_use_is_refused_with_what_to_do(taken_port):
    with pytest.raises(StackError, match=f"port {taken_port}: .*: choose another --port"):
        bindable(taken_port)


@pytest.mark.parametrize(("status", "answers"), [(200, True), (503, False)])
def test_only_a_healthy_answer_counts(status, answers):
    assert http_answers(serve_once(status)) is answers


def test_a_closed_port_does_not_answer():
    assert not http_answers(bindable(0))
