"""The live stream of a running installation, over real connections to its own process."""

import socket
import time
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from aforo.embedded.stack import Stack
from tests.slow.installations import PATIENCE, Tenant
from tests.slow.load import CLOCK, START
from tests.waiting import eventually

pytestmark = pytest.mark.slow

WITHIN = 10.0  # seconds; a second on a machine that has nothing else to do
TYPES = {"VALIDATED", "ENRICHED", "DEDUPLICATED", "REJECTED", "FLAGGED"}


class Stream:
    """An open stream, read by a thread: its events as (name, data), and how it began."""

    def __init__(self, stack: Stack, key: str = "", **query: str) -> None:
        self.events: Queue[tuple[str, dict]] = Queue()
        self.status = 0
        self.body = b""
        self.is_over = False
        self._url, self._query = stack.environment()["AFORO_STREAM_URL"], query
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        Thread(target=self._read, daemon=True).start()
        assert eventually(lambda: self.status, within=WITHIN)

    def _read(self) -> None:
        timeout = httpx.Timeout(PATIENCE, connect=WITHIN)
        asked = {"params": self._query, "headers": self._headers, "timeout": timeout}
        with suppress(httpx.TransportError), httpx.stream("GET", self._url, **asked) as answer:
            if answer.status_code != 200:
                self.body = answer.read()
                self.status = answer.status_code
                return
            name = ""
            for line in answer.iter_lines():
                if line.startswith(": listening"):  # from then on nothing is missed
                    self.status = 200
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    self.events.put((name, msgspec.json.decode(value)))
        self.is_over = True

    def until(self, name: str, within: float = WITHIN) -> list[tuple[str, dict]]:
        """What came up to and with the first event of this name."""
        found = []
        deadline = time.monotonic() + within
        while not found or found[-1][0] != name:
            try:
                found.append(self.events.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                raise AssertionError(f"no {name} came, but {found}") from None
        return found


def event(key: str, **fields: object) -> dict:
    return {
        "customerId": "acme",
        "metricName": "requests",
        "quantity": 1,
        "occurredAt": CLOCK.isoformat(),
        "idempotencyKey": key,
    } | fields


def send(tenant: Tenant, *events: dict) -> None:
    with tenant.seller() as seller:
        seller.send(msgspec.json.encode(events))


@pytest.fixture
def customer(tenant) -> str:
    ((name,), *_) = tenant.rows(
        "SELECT external_id FROM customers WHERE tenant_id = %s ORDER BY external_id"
    )
    return name


def test_everything_that_happens_to_an_event_is_told(stack, tenant, customer):
    stream = Stream(stack, tenant.operator_key)
    send(
        tenant,
        event("a", customerId=customer),
        event("a", customerId=customer),
        event("late", customerId=customer, occurredAt="2026-01-10T00:00:00Z"),
        event("nobody", customerId="nobody"),
        event("odd", customerId=customer, metricName="no_such_metric"),
    )
    *told, (_, counts) = stream.until("counts")

    assert counts == {
        "VALIDATED": 3, "ENRICHED": 2, "DEDUPLICATED": 1, "FLAGGED": 1, "REJECTED": 2,
    }  # fmt: skip
    assert {name for name, _ in told} == TYPES
    first = next(shown for name, shown in told if name == "ENRICHED")
    assert (first["customerId"], first["metricName"], first["outcome"]) == (
        customer,
        "requests",
        "COUNTED",
    )
    assert {shown["code"] for name, shown in told if name == "REJECTED"} == {
        "UNKNOWN_CUSTOMER",
        "UNKNOWN_METRIC",
    }


def test_a_stream_shows_what_was_asked_for_and_only_its_own_tenant(stack, inside, tenant, customer):
    theirs = Tenant.seeded(inside, stack.url, start=START)
    with theirs.seller() as seller:
        seller.freeze_clock(CLOCK)
    narrow = Stream(
        stack, tenant.metering_key, types="enriched", customerId=customer, metric="requests"
    )
    other = Stream(stack, theirs.operator_key)
    send(
        tenant,
        event("a", customerId=customer),
        event("b", customerId=customer, metricName="input_tokens"),
        event("c", customerId="nobody"),
    )
    told = narrow.until("counts")
    assert [name for name, _ in told] == ["ENRICHED", "counts"]
    assert other.events.empty()


def test_nobody_gets_in_without_a_key(stack, tenant):
    assert Stream(stack).status == 401
    assert Stream(stack, "afo_" + "x" * 40).status == 401
    refused = Stream(stack, ticket="made up")
    assert refused.status == 401
    assert msgspec.json.decode(refused.body)["code"] == "UNAUTHORIZED"
    assert Stream(stack, tenant.operator_key, types="ODD").status == 400


def test_a_ticket_opens_a_stream(stack, tenant):
    made = httpx.post(
        f"{stack.url}/api/v1/events/stream-tickets",
        headers={"Authorization": f"Bearer {tenant.operator_key}"},
    ).json()
    assert made["url"] == stack.environment()["AFORO_STREAM_URL"]
    assert Stream(stack, ticket=made["ticket"]).status == 200


def test_a_revoked_key_ends_its_stream(stack, tenant):
    operator = {"Authorization": f"Bearer {tenant.operator_key}"}
    key = httpx.post(
        f"{stack.url}/api/v1/api-keys", headers=operator, json={"name": "listener"}
    ).json()
    stream = Stream(stack, key["secret"])
    httpx.post(f"{stack.url}/api/v1/api-keys/{key['id']}/revoke", headers=operator)

    assert stream.until("end")[-1] == ("end", {"reason": "REVOKED"})
    assert eventually(lambda: stream.is_over, within=WITHIN)


def test_the_web_process_says_where_the_stream_is(stack):
    answer = httpx.get(f"{stack.url}/api/v1/events/stream")
    assert (answer.status_code, answer.json()["code"]) == (421, "STREAM_ELSEWHERE")
    assert stack.environment()["AFORO_STREAM_URL"] in answer.json()["detail"]


def test_a_listener_too_many_is_sent_away(stack, tenant):
    streams = [Stream(stack, tenant.operator_key) for _ in range(20)]
    assert {stream.status for stream in streams} == {200}
    refused = Stream(stack, tenant.operator_key)
    assert refused.status == 429


def test_the_stream_comes_back_after_a_kill(stack, tenant, customer):
    starts = stack.starts_of("stream")
    stack.kill("stream")
    assert eventually(lambda: stack.starts_of("stream") > starts, within=PATIENCE)

    def answers() -> bool:
        try:
            return httpx.get(_health(stack)).status_code == 200
        except httpx.TransportError:
            return False

    assert eventually(answers, within=PATIENCE)
    stream = Stream(stack, tenant.operator_key)
    send(tenant, event("a", customerId=customer))
    assert stream.until("ENRICHED")[-1][1]["idempotencyKey"] == "a"


def _health(stack: Stack) -> str:
    where = urlsplit(stack.environment()["AFORO_STREAM_URL"])
    return f"http://{where.netloc}/healthz"


def test_a_client_that_reads_nothing_is_dropped_and_holds_up_nobody(stack, tenant, customer):
    where = urlsplit(stack.environment()["AFORO_STREAM_URL"])
    with socket.create_connection((where.hostname, where.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {tenant.operator_key}\r\n\r\n".encode()
        )
        stream = Stream(stack, tenant.operator_key)
        for number in range(5):
            send(tenant, *(event(f"k{number}-{n}", customerId=customer) for n in range(300)))
        total = 0
        while total < 1500:
            total += stream.until("counts")[-1][1]["ENRICHED"]
        assert total == 1500
