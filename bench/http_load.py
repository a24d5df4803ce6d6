"""Clients over raw sockets with requests encoded beforehand: they cost less than what they load."""

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from traffic import Body

ACCEPTED = 202
_END_OF_HEAD = b"\r\n\r\n"


def request(url: str, body: Body) -> bytes:
    """The whole HTTP request that carries a body."""
    head = (
        f"POST /v1/ingest/batch HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Authorization: Bearer {body.seller.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body.array)}\r\n\r\n"
    )
    return head.encode() + body.array


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.body: Body
        self.sent_at = 0.0
        self._answer = b""

    def send(self, url: str, body: Body) -> None:
        self.body, self._answer = body, b""
        encoded = request(url, body)
        self.sent_at = time.perf_counter()
        self.socket.sendall(encoded)

    def receive(self) -> int | None:
        """What has come in by now; the status once the answer is whole."""
        piece = self.socket.recv(65_536)
        if not piece:
            raise ConnectionError("the server hung up")
        self._answer += piece
        head, found, rest = self._answer.partition(_END_OF_HEAD)
        if not found or len(rest) < _content_length(head):
            return None
        return int(head[9:12])

    def post(self, url: str, body: Body) -> tuple[int, float]:
        """Send and wait; status and seconds."""
        self.send(url, body)
        while (status := self.receive()) is None:
            pass
        return status, time.perf_counter() - self.sent_at


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise ConnectionError("an answer without Content-Length")


@dataclass
class Sent:
    """What came back: events and fresh events acknowledged, seconds per request, refusals."""

    events: int = 0
    fresh: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)

    def note(self, connection: Connection, status: int) -> None:
        self.latencies.append(time.perf_counter() - connection.sent_at)
        if status != ACCEPTED:
            self.refused += 1
            return
        self.events += connection.body.count
        self.fresh += connection.body.fresh


def load(
    url: str,
    bodies: Iterable[Body],
    *,
    connections: int,
    seconds: float,
    batches_per_second: float | None = None,
    may_send: Callable[[], bool] = lambda: True,
) -> Sent:
    """Send bodies for so many seconds, at a steady pace or as fast as answers come back."""
    sent, waiting = Sent(), iter(bodies)
    idle = [Connection(url) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        began_at, number, under_way = time.perf_counter(), 0, 0
        while True:
            elapsed = time.perf_counter() - began_at
            if elapsed < seconds and may_send():
                due = int(elapsed * batches_per_second) + 1 if batches_per_second else None
                while idle and (due is None or number < due):
                    number += 1
                    under_way += 1
                    _send_next(idle.pop(), url, waiting, selector)
            elif elapsed >= seconds and not under_way:
                return sent
            for key, _ in selector.select(0.001):
                connection: Connection = key.data
                status = connection.receive()
                if status is not None:
                    sent.note(connection, status)
                    selector.unregister(connection.socket)
                    idle.insert(0, connection)
                    under_way -= 1


def _send_next(
    connection: Connection,
    url: str,
    bodies: Iterator[Body],
    selector: selectors.BaseSelector,
) -> None:
    connection.send(url, next(bodies))
    selector.register(connection.socket, selectors.EVENT_READ, connection)
