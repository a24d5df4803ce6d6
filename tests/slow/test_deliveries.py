"""kill -9 of the worker between commit and delivery, and in the middle of one: nothing is lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import killpg
from signal import SIGSTOP

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.slow.installations import PATIENCE, Inside, Tenant, own_stack
from tests.slow.load import START
from tests.waiting import eventually

pytestmark = pytest.mark.slow


class Receiver(ThreadingHTTPServer):
    """Keeps what comes; the first of each path in `hanging` gets no answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.taken: list[tuple[str, dict, bytes]] = []
        self.hanging: set[str] = set()
        self.over = threading.Event()

    def ids(self) -> Counter[str]:
        return Counter(headers["webhook-id"] for _, headers, _ in self.taken)


class Door(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, dict(self.headers), body))
        if self.path in self.server.hanging:
            self.server.hanging.discard(self.path)
            self.server.over.wait(PATIENCE)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: tests say enough."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    server.handle_error = lambda *_: None  # senders that are killed
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_was_published_arrives_whenever_the_worker_is_killed(receiver, monkeypatch):
    monkeypatch.setenv("AFORO_PRIVATE_DESTINATIONS", "true")
    with own_stack() as stack, Inside(stack.environment()) as inside:
        tenant = Tenant.seeded(inside, stack.url, start=START)
        headers = {"Authorization": f"Bearer {tenant.operator_key}"}
        with httpx.Client(base_url=f"{stack.url}/api/v1/", headers=headers, timeout=30) as client:

            def made(path: str) -> dict:
                url = f"http://127.0.0.1:{receiver.server_port}/{path}"
                asked = {"url": url, "facts": ["webhook_endpoint.test"]}  # and no seeded invoice
                return client.post("webhook-endpoints", json=asked).raise_for_status().json()

            def test(endpoint: dict) -> None:
                client.post(f"webhook-endpoints/{endpoint['id']}/test").raise_for_status()

            def all_delivered(count: int) -> bool:
                listed = client.get("outbound-deliveries").json()["content"]
                return [one["state"] for one in listed] == ["DELIVERED"] * count

            usual, slow = made("usual"), made("slow")
            test(usual)
            assert eventually(lambda: all_delivered(1), within=PATIENCE)

            killpg(stack.pid_of("worker"), SIGSTOP)  # takes messages, and does nothing about them
            test(usual)
            test(usual)
            stack.kill("worker")  # between commit and delivery
            assert eventually(lambda: all_delivered(3), within=PATIENCE)

            receiver.hanging.add("/slow")
            test(slow)
            assert eventually(lambda: len(receiver.ids()) == 4, within=PATIENCE)
            stack.kill("worker")  # in the middle of a delivery
            assert eventually(lambda: all_delivered(4), within=PATIENCE)
    assert sorted(receiver.ids().values()) == [1, 1, 1, 2]
    for path, told, body in receiver.taken:
        secret = (slow if path == "/slow" else usual)["secret"]
        assert Webhook(secret).verify(body, told)["type"] == "webhook_endpoint.test"
