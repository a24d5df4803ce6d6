"""What the demonstration says when it cannot go on: one line."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from django.core.management import CommandError, call_command

from aforo.demo.client import DemoFailed, Seller
from aforo.embedded.probes import bindable

KEYS = {"metering_key": "sk_test_x", "operator_key": "afo_x"}


class Away(BaseHTTPRequestHandler):
    """Answers everything with a problem document, or with something that is none."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        problem = b'{"status": 503, "detail": "the database is away"}'
        self._answer(problem if self.path.startswith("/v1/") else b"<h1>Bad Gateway</h1>")

    def _answer(self, body: bytes) -> None:
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def seller() -> Iterator[Seller]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Away) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with Seller(f"http://127.0.0.1:{server.server_port}", **KEYS) as seller:
            yield seller
        server.shutdown()


def test_an_answer_that_is_no_success_is_told_with_its_detail(seller):
    with pytest.raises(DemoFailed) as failed:
        seller.send(b"{}")

    said = "POST /v1/ingest/batch was answered 503: the database is away"
    assert str(failed.value) == said


def test_an_answer_that_is_no_problem_document_is_told_as_it_came(seller):
    with pytest.raises(DemoFailed, match=r"^POST /api/v1/bill-runs/7/execute was .* 503: <h1"):
        seller._run("7", deadline=0)


@pytest.mark.django_db
def test_a_server_that_does_not_answer_is_named(tmp_path):
    url = f"http://127.0.0.1:{bindable(0)}"

    with pytest.raises(CommandError, match=f"^{url} does not answer: .*refused"):
        call_command("demo", url=url, output=tmp_path)
