"""Whether endpoints that hang delay others: 10,000 deliveries to 100 endpoints, with and without.

    python bench/deliveries.py                 about a minute
    python bench/deliveries.py --messages 20   a smoke run

A hundred facts are written into the outbox of one seller, whose hundred endpoints are all told of
each. First all endpoints answer, then ten of them never do. What counts is when the ninety have
everything, and how much later that is than when nobody hangs.
"""

import argparse
import asyncio
import json
import os
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg

import sellers
from installation import Installation, run_among_servers
from sellers import Seller

ENDPOINTS, HANGING = 100, 10
PATIENCE = 120.0  # seconds
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
_PUBLISH = """
    INSERT INTO outbox_messages (id, tenant_id, fact, payload, subject, created_at)
    SELECT uuidv7(), %s, 'dead_letter.threshold_reached', json_build_object('threshold', n), '',
           now()
    FROM generate_series(1, %s) AS n
"""


class Receivers:
    """All endpoints behind one port; `/<number>` says which. Those that hang read, and wait."""

    def __init__(self) -> None:
        self.taken: defaultdict[int, list[float]] = defaultdict(list)
        self.hanging: frozenset[int] = frozenset()
        self.port = 0

    async def serve(self, is_ready: threading.Event) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=1_000)
        self.port = server.sockets[0].getsockname()[1]
        is_ready.set()
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            number = int(head.split(" ", 2)[1].strip("/"))
            length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
            await reader.readexactly(length)
            if number in self.hanging:
                await reader.read()  # until the other side gives up
            else:
                self.taken[number].append(time.monotonic())
                writer.write(_ANSWER)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@contextmanager
def receiving() -> Iterator[Receivers]:
    """Receivers in a thread of their own."""
    receivers, is_ready = Receivers(), threading.Event()
    threading.Thread(target=lambda: asyncio.run(receivers.serve(is_ready)), daemon=True).start()
    is_ready.wait()
    yield receivers


def make_endpoints(url: str, seller: Seller, port: int) -> None:
    for number in range(ENDPOINTS):
        request = urllib.request.Request(
            f"{url}/api/v1/webhook-endpoints",
            data=json.dumps({"url": f"http://127.0.0.1:{port}/{number}"}).encode(),
            headers={
                "Authorization": f"Bearer {seller.operator_token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()


def run(
    connection: psycopg.Connection, seller: Seller, receivers: Receivers, messages: int
) -> list[float]:
    """Publish, and wait until all who answer have everything; seconds until each one had."""
    receivers.taken.clear()
    connection.execute(_PUBLISH, (seller.tenant_id, messages))
    began = time.monotonic()
    answering = [number for number in range(ENDPOINTS) if number not in receivers.hanging]
    while any(len(receivers.taken[number]) < messages for number in answering):
        if time.monotonic() > began + PATIENCE:
            raise SystemExit("not everything arrived")
        time.sleep(0.05)
    first = min(times[0] for times in receivers.taken.values())
    return sorted(max(receivers.taken[number]) - first for number in answering)


def say(what: str, seconds: list[float], deliveries: int) -> None:
    middle = seconds[len(seconds) // 2]
    rate = deliveries / seconds[-1]
    print(
        f"{what}: the first was done after {seconds[0]:.1f} s, half after {middle:.1f} s,", end=""
    )
    print(f" the last after {seconds[-1]:.1f} s; {rate:,.0f} deliveries a second", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=100)
    messages = parser.parse_args().messages
    os.environ["AFORO_PRIVATE_DESTINATIONS"] = "true"
    run_among_servers()
    installation = Installation.prepare()
    with installation.connect() as connection, receiving() as receivers:
        now = datetime.now(UTC)
        (seller,) = sellers.create(connection, now=now, tenants=1, subscriptions=1)
        with installation.running(workers=1) as url:
            make_endpoints(url, seller, receivers.port)
            alone = run(connection, seller, receivers, messages)
            say("nobody hangs", alone, messages * ENDPOINTS)
            receivers.hanging = frozenset(range(HANGING))
            beside = run(connection, seller, receivers, messages)
            say(f"{HANGING} hang", beside, messages * (ENDPOINTS - HANGING))
    print(f"the others had everything after {beside[-1] / alone[-1]:.2f} times that time")


if __name__ == "__main__":
    main()
