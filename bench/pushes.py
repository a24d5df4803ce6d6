"""How fast pushes of webhook sources are answered, against the commit of a row in the same run.

    python bench/pushes.py            about a minute

One web process and one worker, one sender that waits for each answer, alone and while usage is
taken in. See docs/webhooks-in.md.
"""

import argparse
import hmac
import json
import multiprocessing
import socket
import statistics
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg

import http_load
import sellers
from commits import make_commit_table, raw_commit
from installation import Installation, run_among_servers
from report import percentile
from sellers import Seller
from traffic import BATCH, Traffic, without_end

INGESTED = 5_000  # events per second, beside the pushes
POOL = 50_000
COLD = 50  # pushes that do not count
PAUSE = 0.005  # seconds between two pushes: a sender is no flood
ACCEPTED = b"HTTP/1.1 202"


class Sender:
    """One keep-alive connection of a source that signs what it pushes."""

    def __init__(self, url: str, seller: Seller) -> None:
        place, source = urlsplit(url), _source(url, seller)
        self.socket = socket.create_connection((place.hostname, place.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._secret, self._seller, self._number = source["secret"].encode(), seller, 0
        self._head = f"POST /v1/ingest/webhook/{source['id']} HTTP/1.1\r\nHost: {place.netloc}\r\n"

    def push(self) -> float:
        """Push one payload and wait for its answer; milliseconds."""
        request = self._request()
        began_at = time.perf_counter()
        self.socket.sendall(request)
        answer = b""
        while not answer.endswith(b"}"):  # of the JSON, which may come apart from the head
            answer += self.socket.recv(65_536)
        milliseconds = (time.perf_counter() - began_at) * 1000
        if not answer.startswith(ACCEPTED):
            raise SystemExit(f"refused: {answer.decode()}")
        return milliseconds

    def _request(self) -> bytes:
        self._number += 1
        event = {
            "id": f"evt-{self._number}",
            "customerId": self._seller.customers[self._number % len(self._seller.customers)],
            "metricName": self._seller.metrics[0],
            "quantity": 1,
            "note": "x" * 700,  # payloads of providers are about a kilobyte
        }
        body = json.dumps(event).encode()
        signature = hmac.digest(self._secret, body, "sha256").hex()
        head = (
            f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Hub-Signature-256: sha256={signature}\r\n\r\n"
        )
        return head.encode() + body


def _source(url: str, seller: Seller) -> dict[str, str]:
    request = urllib.request.Request(
        f"{url}/api/v1/webhook-sources",
        data=json.dumps({"name": "bench", "rateLimit": 1_000_000}).encode(),
        headers={
            "Authorization": f"Bearer {seller.operator_token}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request) as answer:
        source: dict[str, str] = json.load(answer)
    return source


def measure(what: str, sender: Sender, connection: psycopg.Connection, pushes: int) -> None:
    """Pushes in turns with commits of a row, and print both."""
    answers, commits = [], []
    for number in range(pushes + COLD):
        commit, answer = raw_commit(connection) * 1000, sender.push()
        if number >= COLD:
            answers.append(answer)
            commits.append(commit)
        time.sleep(PAUSE)
    middle, bare = statistics.median(answers), statistics.median(commits)
    print(
        f"{what}: p50 {middle:.2f} ms, p99 {percentile(answers, 0.99):.2f} ms;"
        f" p50 of a commit {bare:.2f} ms, so {middle / bare:.1f} times that",
        flush=True,
    )


@contextmanager
def _ingest(url: str, sold: Sequence[Seller]) -> Iterator[None]:
    """Usage at a steady rate from another process."""
    load = multiprocessing.Process(target=_send, args=(url, sold), daemon=True)
    load.start()
    time.sleep(3)  # it makes its events first
    try:
        yield
    finally:
        load.terminate()
        load.join()


def _send(url: str, sold: Sequence[Seller]) -> None:
    bodies = Traffic(sold, seed=7, now=datetime.now(UTC)).bodies(POOL)
    http_load.load(
        url,
        without_end(bodies),
        connections=4,
        seconds=120,
        batches_per_second=INGESTED / BATCH,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pushes", type=int, default=1_000)
    pushes = parser.parse_args().pushes
    run_among_servers()
    installation = Installation.prepare()
    with installation.connect() as connection:
        sold = sellers.create(connection, now=datetime.now(UTC))
        make_commit_table(connection)
        with installation.running(workers=1) as url:
            sender = Sender(url, sold[0])
            measure("alone", sender, connection, pushes)
            with _ingest(url, sold):
                measure(f"beside {INGESTED:,} events a second", sender, connection, pushes)


if __name__ == "__main__":
    main()
