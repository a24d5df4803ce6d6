"""How long it takes to read an invoice that many events are behind, and the first page of those."""

import itertools
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import psycopg

from installation import Drainers
from report import Report, Target
from sellers import Seller
from sql import row
from traffic import BATCH, Span, Traffic, fill_inbox

EVENTS = 100_000
READS = 100
AT_MOST, REACH = 50, 20  # milliseconds
WHAT = (
    "reading an invoice with {events:,} events behind it, p99",
    "the first page of the events behind its largest line, p99",
)
_LARGEST = """
    SELECT i.id, l.id, sum(s.event_count) OVER (PARTITION BY i.id)::bigint
    FROM bill_run_event_index s
    JOIN invoice_lines l ON l.id = s.line_id
    JOIN invoices i ON i.id = l.invoice_id
    ORDER BY 3 DESC, s.event_count DESC LIMIT 1
"""


def use_much(
    connection: psycopg.Connection, drainers: Drainers, seller: Seller, month: Span, events: int
) -> None:
    """Let the product count so many events of a single customer."""
    alone = replace(seller, customers=seller.customers[:1])
    traffic = Traffic([alone], seed=8, now=datetime.now(UTC), span=month)
    bodies = iter(traffic.bodies(events))
    while some := list(itertools.islice(bodies, 20_000 // BATCH)):
        fill_inbox(connection, some)
        drainers.drain(20_000)


def measure(report: Report, connection: psycopg.Connection, seller: Seller, url: str) -> None:
    """Read the invoice with most events behind it over and over, as a page of the admin would."""
    invoice, line, events = row(connection, _LARGEST)
    paths = f"/api/v1/invoices/{invoice}", f"/api/v1/invoices/{invoice}/lines/{line}/events"
    for what, path in zip(WHAT, paths, strict=True):
        taken = sorted(_milliseconds(lambda path=path: _get(seller, url + path)))
        p50, p99 = statistics.median(taken), taken[len(taken) * 99 // 100 - 1]
        target = Target(what.format(events=events), AT_MOST, REACH, at_most=True, unit=" ms")
        report.add(target, [p99], f"p50 {p50:.1f} ms, {READS} times over HTTP")


def _milliseconds(read: Callable[[], None]) -> list[float]:
    read()  # the first one opens what the others have open
    taken = []
    for _ in range(READS):
        began_at = time.perf_counter()
        read()
        taken.append((time.perf_counter() - began_at) * 1000)
    return taken


def _get(seller: Seller, url: str) -> None:
    headers = {"Authorization": f"Bearer {seller.operator_token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        answer.read()
