"""How fast access checks are answered, against a GET of Redis itself in the same run.

    python bench/access.py            about three minutes
    python bench/access.py --quick    a smoke run: every number is printed, none is worth much

One web process answers, alone and while usage is taken in. See docs/performance.md.
"""

import argparse
import json
import multiprocessing
import random
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import redis

import http_load
import sellers
from installation import Installation, run_among_servers
from processor_time import Patience
from report import Report, Target, percentile
from sellers import Seller
from traffic import BATCH, Traffic, without_end

CLIENTS = 16
PER_SECOND = 1_000
INGESTED = 5_000  # events per second, beside the checks
POOL = 50_000
SYNC_SECONDS = 90  # within which a new installation must have written everything

P50 = Target("canAccess p50 less twice a Redis GET, 1 client", 0.4, 0.05, at_most=True, unit=" ms")
# What we would like at p99 is said when it is known: two GETs of that run, and this much.
REACH_OVER_GETS = 2
P99 = Target("canAccess p99, 16 clients, 1,000/s", 5, 0, at_most=True, unit=" ms")
P50_BUSY = Target(f"{P50.what}, while ingest runs", 0.8, 0.2, at_most=True, unit=" ms")
P99_BUSY = Target(f"{P99.what}, while ingest runs", 10, 0, at_most=True, unit=" ms")


class Asker:
    """One keep-alive connection that asks whether customers may call."""

    def __init__(self, url: str, seller: Seller, chance: random.Random) -> None:
        place = urlsplit(url)
        self.socket = socket.create_connection((place.hostname, place.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._requests = [
            _request(place.netloc, seller, name) for name in chance.sample(seller.customers, 50)
        ]
        self._chance = chance
        self._answer = b""

    def send(self) -> None:
        self._answer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._chance.choice(self._requests))

    def receive(self) -> bool:
        """Whether the answer is whole; an answer that is no "yes" ends the bench."""
        self._answer += self.socket.recv(65_536)
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == _LENGTH), None
        )
        if not found or length is None or len(body) < length:
            return False
        if b'"reason":"OK"' not in body:
            sys.exit(f"no plain yes: {body.decode()}")
        return True

    def ask(self) -> float:
        """Ask and wait; milliseconds."""
        self.send()
        while not self.receive():
            pass
        return (time.perf_counter() - self.sent_at) * 1000


_LENGTH = b"content-length:"


def _request(host: str, seller: Seller, customer: str) -> bytes:
    body = json.dumps({"customerId": customer, "featureKey": seller.metrics[0]}).encode()
    head = (
        f"POST /v1/canAccess HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {seller.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    options = _options()
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    with installation.connect(synchronous=False) as connection:
        sold = sellers.create(connection, now=datetime.now(UTC))
    with installation.running(workers=1) as url:
        _wait_for_sync(url, sold)
        bench = Bench(installation, url, sold, options)
        bench.measure(report, P50, P99, Patience(options.patience))
        with _ingest(url, sold, options):
            bench.measure(report, P50_BUSY, P99_BUSY, Patience(0))
    if options.json:
        report.write(options.json)


class Bench:
    """Measurements against one running stack."""

    def __init__(
        self,
        installation: Installation,
        url: str,
        sold: Sequence[Seller],
        options: argparse.Namespace,
    ) -> None:
        self._installation = installation
        self._url = url
        self._sold = sold
        self._options = options

    def measure(self, report: Report, first: Target, second: Target, patience: Patience) -> None:
        """One client in turns with Redis itself, then many at a steady pace; so many times."""
        alone, together, behind, tails = [], [], [], []
        for _ in range(self._options.repeats):
            patience.wait()
            gets, checks = _one_client(
                self._installation, self._url, self._sold[0], self._options.checks
            )
            bare, asked = statistics.median(gets), statistics.median(checks)
            alone.append(asked - 2 * bare)
            behind.append((asked, bare, percentile(checks, 0.99)))
            latencies = _many_clients(self._url, self._sold, self._options.seconds)
            together.append(percentile(latencies, 0.99))
            tails.append((statistics.median(latencies), percentile(gets, 0.99)))
        asked, bare, last = (statistics.median(column) for column in zip(*behind, strict=True))
        ratio = f"{asked / bare:.1f} times a Redis GET of {bare:.3f} ms"
        report.add(first, alone, f"p50 {asked:.3f} ms, {ratio}; p99 {last:.2f} ms")
        middle, tail = (statistics.median(column) for column in zip(*tails, strict=True))
        second = replace(second, reach=round(2 * tail + REACH_OVER_GETS, 2))
        report.add(second, together, f"p50 {middle:.2f} ms; p99 of a Redis GET {tail:.2f} ms")


def _one_client(
    installation: Installation, url: str, seller: Seller, count: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of a GET through the product's client library, and of a check, in turns."""
    server = redis.Redis.from_url(installation.environment["REDIS_URL"])
    server.set("bench:value", b"x" * 300, ex=600)
    asker = Asker(url, seller, random.Random(1))
    gets, checks = [], []
    for number in range(count + 50):
        began_at = time.perf_counter()
        server.get("bench:value")
        get = (time.perf_counter() - began_at) * 1000
        check = asker.ask()
        if number >= 50:  # noqa: PLR2004 - the first ones warm both
            gets.append(get)
            checks.append(check)
    return gets, checks


def _many_clients(url: str, sold: Sequence[Seller], seconds: float) -> list[float]:
    """Milliseconds of checks that come at a steady pace, from when each was due."""
    chance = random.Random(2)
    idle = [Asker(url, sold[number % len(sold)], chance) for number in range(CLIENTS)]
    latencies: list[float] = []
    due: dict[Asker, float] = {}
    with selectors.DefaultSelector() as selector:
        began_at, number = time.perf_counter(), 0
        while True:
            elapsed = time.perf_counter() - began_at
            while idle and elapsed < seconds and number <= elapsed * PER_SECOND:
                asker = idle.pop()
                due[asker] = began_at + number / PER_SECOND
                number += 1
                asker.send()
                selector.register(asker.socket, selectors.EVENT_READ, asker)
            if elapsed >= seconds and not due:
                return latencies
            for key, _ in selector.select(0.0005):
                asker = key.data
                if asker.receive():
                    latencies.append((time.perf_counter() - due.pop(asker)) * 1000)
                    selector.unregister(asker.socket)
                    idle.insert(0, asker)


@contextmanager
def _ingest(url: str, sold: Sequence[Seller], options: argparse.Namespace) -> Iterator[None]:
    """Usage at a steady rate from another process, until the checks are measured."""
    patience = options.repeats * (options.seconds * 3 + options.checks * 0.01) + 30
    load = multiprocessing.Process(target=_send, args=(url, sold, patience), daemon=True)
    load.start()
    time.sleep(3)  # it makes its events first
    try:
        yield
    finally:
        load.terminate()
        load.join()


def _send(url: str, sold: Sequence[Seller], seconds: float) -> None:
    bodies = Traffic(sold, seed=7, now=datetime.now(UTC)).bodies(POOL)
    http_load.load(
        url,
        without_end(bodies),
        connections=4,
        seconds=seconds,
        batches_per_second=INGESTED / BATCH,
    )


def _wait_for_sync(url: str, sold: Sequence[Seller]) -> None:
    """Until the last tenant's customers are known: Beat writes them within half a minute."""
    deadline = time.monotonic() + SYNC_SECONDS
    while True:
        try:
            for seller in sold:
                Asker(url, seller, random.Random(3)).ask()
        except SystemExit:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    options.repeats = 1 if options.quick else 3
    options.checks = 500 if options.quick else 5_000
    options.seconds = 3.0 if options.quick else 10.0
    options.patience = 0.0 if options.quick else 30.0
    return options


if __name__ == "__main__":
    main()
