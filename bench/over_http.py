"""The running product, one web process and one worker, from the socket to the rows."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

import commits
import exactness
import http_load
import raw
from http_load import Connection, Sent
from installation import Installation
from processor_time import Patience
from report import Report, Target, percentile
from sellers import Seller
from sql import row
from traffic import BATCH, Traffic, without_end

CONNECTIONS = 8
BACKLOG = 40_000  # events: two merges, so that the worker never waits for the web
POOL = 100_000  # events made beforehand; their bodies go out again with new keys
ROWS = 60_000  # of the product's own, for raw COPY
PACE = 0.005  # seconds between two requests of the lonely client
COLD = 20  # of its first answers come from cold processes and do not count
LOOK_EVERY = 0.02  # seconds between two looks at the inbox
LAG_SHARE = 0.75
FEWEST_MERGES = 4  # that a rate is taken from; with fewer all count, also those after the load
RAMP = 1.0  # seconds that do not count

SUSTAINED = Target("HTTP to usage_events, 1 web + 1 worker, to raw COPY", 0.07, 0.12)
ACK_P50 = Target("ack p50 to raw commit p50, 100 events, 1 client", 6, 3.5, at_most=True)
ACK_P99 = Target("ack p99 to raw commit p99, 100 events, 1 client", 4, 2, at_most=True)
LAG = Target("lag p99 at 75 % of the sustained rate, ms", 1_000, 100, at_most=True, unit=" ms")
LOST = Target("events acknowledged and missing, or there twice", 0, 0, at_most=True)

_MERGES = """
    SELECT pg_xact_commit_timestamp(xmin) AS committed_at, sum(event_count)
    FROM receipts GROUP BY 1 ORDER BY 1
"""
_LAGS = """
    SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - arrived_at)::float8 * 1000
    FROM receipts WHERE arrived_at > %s
"""


@dataclass(frozen=True)
class Effort:
    """How long to look: seconds of load, and acknowledgements per repeat."""

    repeats: int
    seconds: float
    acks: int
    patience: Patience


class HttpBench:
    """Measurements against one running stack; it is emptied before each."""

    def __init__(
        self, installation: Installation, sellers: Sequence[Seller], url: str, effort: Effort
    ) -> None:
        self._installation = installation
        self._url = url
        self._effort = effort
        traffic = Traffic(sellers, seed=10_000, now=datetime.now(UTC))
        self._bodies = traffic.bodies(POOL)
        self._connection = installation.connect(synchronous=False)
        self._off: list[int] = []

    def run(self, report: Report) -> None:
        effort = self._effort
        with self._connection:
            self._sustained(min(effort.seconds, 3.0))  # warm, and thrown away
            rates, copies = [], []
            for _ in range(effort.repeats):
                rates.append(self._sustained(effort.seconds))
                copies.append(self._copy_rate())
            ratios = [rate / copy for rate, copy in zip(rates, copies, strict=True)]
            rate, copy = statistics.median(rates), statistics.median(copies)
            report.add(SUSTAINED, ratios, f"{rate:,.0f}/s to {copy:,.0f}/s")
            lags = [self._lags(rate, effort.seconds) for _ in range(effort.repeats)]
            middle = statistics.median(percentile(lag, 0.5) for lag in lags)
            behind = f"p50 {middle:,.0f} ms at {rate * LAG_SHARE:,.0f} events/s"
            report.add(LAG, [percentile(lag, 0.99) for lag in lags], behind)
            self._acknowledge(report)
            report.add(LOST, [sum(self._off)], f"in {len(self._off)} runs, without kills")

    def _sustained(self, seconds: float) -> float:
        """Events per second that become rows while the backlog neither grows nor runs dry."""
        self._start_anew()
        valve = _Valve(self._connection)
        sent = http_load.load(
            self._url,
            without_end(self._bodies),
            connections=CONNECTIONS,
            seconds=seconds + RAMP,
            may_send=valve.is_open,
        )
        stopped_at = datetime.now(UTC)
        self._settle(sent)
        return _steady_rate(self._connection.execute(_MERGES).fetchall(), stopped_at)

    def _lags(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds from the arrival of each batch to the commit of its rows."""
        self._start_anew()
        began_at = datetime.now(UTC).timestamp() + RAMP
        sent = http_load.load(
            self._url,
            without_end(self._bodies),
            connections=CONNECTIONS,
            seconds=seconds + RAMP,
            batches_per_second=rate * LAG_SHARE / BATCH,
        )
        self._settle(sent)
        since = datetime.fromtimestamp(began_at, UTC)
        return [lag for (lag,) in self._connection.execute(_LAGS, (since,))]

    def _acknowledge(self, report: Report) -> None:
        """One keep-alive client and one bare commit in turn, so that both meet the same noise."""
        middles, tails, seen, effort = [], [], [], self._effort
        with self._installation.connect() as connection:
            commits.make_commit_table(connection)
            for _ in range(effort.repeats):
                answers, bare = self._in_turn(connection, effort.acks)
                seen += answers
                middles.append(percentile(answers, 0.5) / percentile(bare, 0.5))
                tails.append(percentile(answers, 0.99) / percentile(bare, 0.99))
        p50, p99 = percentile(seen, 0.5) * 1000, percentile(seen, 0.99) * 1000
        report.add(ACK_P50, middles, f"{p50:.2f} ms")
        report.add(ACK_P99, tails, f"{p99:.2f} ms")

    def _in_turn(
        self, connection: psycopg.Connection, count: int
    ) -> tuple[list[float], list[float]]:
        self._start_anew()
        client, sent = Connection(self._url), Sent()
        answers, bare = [], []
        for number, body in enumerate(itertools.islice(without_end(self._bodies), count + COLD)):
            time.sleep(PACE)
            status, seconds = client.post(self._url, body)
            sent.note(client, status)
            commit = commits.raw_commit(connection)
            if number >= COLD:
                answers.append(seconds)
                bare.append(commit)
        self._settle(sent)
        return answers, bare

    def _start_anew(self) -> None:
        self._installation.forget_traffic()
        self._effort.patience.wait()

    def _settle(self, sent: Sent) -> None:
        """Wait until the inbox is empty, then see that every acknowledged event is there once."""
        if sent.refused:
            raise RuntimeError(f"{sent.refused} requests were refused")
        deadline = time.monotonic() + 120
        while _waiting(self._connection) and time.monotonic() < deadline:
            time.sleep(0.05)
        exact = exactness.check(self._connection, expected=sent.fresh)
        if exact.off_by:
            raise RuntimeError(f"revenue is off by {exact.off_by}")
        self._off.append(abs(exact.missing) + exact.twice)

    def _copy_rate(self) -> float:
        pieces = raw.rows_as_text(self._connection, ROWS)
        self._effort.patience.wait()
        return raw.copy_speed(self._connection, pieces).rate


class _Valve:
    """Open while less than the backlog waits in the inbox."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._looked_at = 0.0
        self._is_open = True

    def is_open(self) -> bool:
        if time.perf_counter() - self._looked_at > LOOK_EVERY:
            self._is_open = _waiting(self._connection) < BACKLOG
            self._looked_at = time.perf_counter()
        return self._is_open


def _steady_rate(merges: Sequence[tuple[datetime, int]], stopped_at: datetime) -> float:
    """Events per second from the first commit after the ramp to the last one under load."""
    ramp_ends_at = merges[0][0] + timedelta(seconds=RAMP)
    steady = [merge for merge in merges if ramp_ends_at <= merge[0] < stopped_at]
    if len(steady) < FEWEST_MERGES:
        steady = list(merges)
    seconds = (steady[-1][0] - steady[0][0]).total_seconds()
    return float(sum(events for _, events in steady[1:])) / seconds


def _waiting(connection: psycopg.Connection) -> int:
    query = "SELECT coalesce(sum(event_count), 0) FROM inbox_batches"
    (events,) = row(connection, query)
    return int(events)
