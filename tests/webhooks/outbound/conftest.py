"""A receiver of webhooks that answers, refuses or hangs as a test says."""

import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aforo.outbox.services import publish
from tests.factories import NOW, TenantFactory
from webhooks.outbound import sending


@dataclass(frozen=True)
class Taken:
    path: str
    headers: dict
    body: bytes


class Receiver(ThreadingHTTPServer):
    """`answers[path]` are the next statuses, then 200; paths in `hanging` wait for the end."""

    daemon_threads = False
    request_queue_size = 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Door)
        self.taken = []
        self.answers = defaultdict(list)
        self.retry_after = {}
        self.hanging = set()
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def bodies(self, path):
        return [one.body for one in self.taken if one.path == path]


class Door(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(Taken(self.path, dict(self.headers), body))
        if self.path in self.server.hanging:
            self.server.over.wait(30)
        waiting = self.server.answers[self.path]
        status = waiting.pop(0) if waiting else 200
        content = f"status {status}\0".encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url + "/elsewhere")
        if self.path in self.server.retry_after and status != 200:
            self.send_header("Retry-After", self.server.retry_after[self.path])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Nothing: tests say enough."""


@pytest.fixture
def receiver(settings, monkeypatch):
    settings.PRIVATE_DESTINATIONS = True
    server = Receiver()
    server.handle_error = lambda *_: None  # senders that hang up
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def short_attempts(monkeypatch):
    """Attempts end after three seconds."""
    monkeypatch.setattr(sending, "SECONDS", 3)


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def tell(tenant):
    """Publish a fact of the tenant; its number is in the payload."""

    def tell(number=1, *, subject="", tenant=tenant):
        return publish(
            tenant_id=tenant.pk,
            fact="dead_letter.threshold_reached",
            payload={"threshold": number},
            subject=subject,
            now=NOW,
        )

    return tell
