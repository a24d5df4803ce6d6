"""Published facts, and an endpoint that takes them: all arrive, signed, in order, none invented."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from patient import Patient, taken

REFUSED_EACH = 12  # the first attempt of every so manieth message is answered 503
_PUBLISHED = """
    SELECT 'msg_' || replace(id::text, '-', ''), fact, subject, payload FROM outbox_messages
    WHERE tenant_id = %s ORDER BY id
"""
_WAITING = """
    SELECT (SELECT count(*) FROM outbox_messages WHERE tenant_id = %s AND carried_at IS NULL)
         + (SELECT count(*) FROM outbound_deliveries WHERE tenant_id = %s AND state = 'PENDING')
"""


@dataclass(frozen=True)
class Told:
    """What the endpoint found, beside what was published."""

    facts: int
    lost: int
    repeated: int
    unordered: int
    invented: int
    unsaid: int  # acts that were answered and published nothing, or more than once


@dataclass
class Endpoint:
    """What came, in order; `secret` is known before the first message is sent."""

    secret: str = ""
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # answered 2xx
    invented: int = 0  # not signed by the product, or not under its own id
    _refused: set[str] = field(default_factory=set)
    _seen: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """The status to answer."""
        try:
            message = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.invented += 1
            return 401
        name = headers["webhook-id"]
        with self._lock:
            place = self._seen.setdefault(name, len(self._seen))
            if place % REFUSED_EACH == REFUSED_EACH - 1 and name not in self._refused:
                self._refused.add(name)
                return 503
            self.invented += message["id"] != name
            self.taken.append((name, message))
        return 204


class Teller:
    """Pauses and resumes subscriptions, one after the other: two facts each, in this order."""

    def __init__(self, operator: Patient, subscriptions: list[str]) -> None:
        self.said: defaultdict[str, list[str]] = defaultdict(list)
        self._operator = operator
        self._subscriptions = subscriptions
        self._turn = 0

    def step(self) -> bool:
        subject = self._subscriptions[self._turn % len(self._subscriptions)]
        self._turn += 1
        for act, fact in (("pause", "paused"), ("resume", "resumed")):
            path = f"/api/v1/subscriptions/{subject}/{act}"
            answer = self._operator.call("POST", path, json={})
            if answer.status_code == HTTPStatus.CONFLICT:  # in the last minutes of a period
                return True
            taken(answer)
            self.said[subject].append(f"subscription.{fact}")
        return True


@contextmanager
def listening(endpoint: Endpoint) -> Iterator[str]:
    """The endpoint behind a port of its own; its address."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(endpoint.take(body, dict(self.headers)))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the last line says enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # senders are killed
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def subscribe(operator: Patient, endpoint: Endpoint, url: str) -> None:
    """Make the endpoint known: it takes all facts."""
    made = taken(operator.call("POST", "/api/v1/webhook-endpoints", json={"url": url}))
    endpoint.secret = made["secret"]


def waiting(connection: psycopg.Connection, tenant_id: object) -> int:
    """Messages and deliveries that have not come to their end."""
    ((count,),) = connection.execute(_WAITING, (tenant_id, tenant_id)).fetchall()
    return int(count)


def told(
    connection: psycopg.Connection,
    tenant_id: object,
    endpoint: Endpoint,
    said: dict[str, list[str]],
) -> Told:
    """Compare what came with what was published, and that with what was done."""
    rows = connection.execute(_PUBLISHED, (tenant_id,)).fetchall()
    published = {name: (fact, subject, payload) for name, fact, subject, payload in rows}
    came = [name for name, _ in endpoint.taken]
    wrong = sum(
        name not in published or not _is_same(message, published[name])
        for name, message in endpoint.taken
    )
    return Told(
        facts=len(published),
        lost=len(published.keys() - set(came)),
        repeated=len(came) - len(set(came)),
        unordered=_unordered(came, {name: row[1] for name, row in published.items()}),
        invented=endpoint.invented + wrong,
        unsaid=sum(
            [fact for fact, about, _ in published.values() if about == subject] != acts
            for subject, acts in said.items()
        ),
    )


def _is_same(message: dict[str, Any], row: tuple[str, str, Any]) -> bool:
    fact, subject, payload = row
    payload = json.loads(payload) if isinstance(payload, str) else payload
    return (message["type"], message["subject"], message["data"]) == (fact, subject, payload)


def _unordered(came: list[str], subjects: dict[str, str]) -> int:
    """Messages that came after a later one of the same subject; ids rise with time."""
    latest: dict[str, str] = {}
    count = 0
    for name in came:
        subject = subjects.get(name)
        if subject:
            count += name < latest.get(subject, "")
            latest[subject] = max(name, latest.get(subject, ""))
    return count
