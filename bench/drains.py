"""The drain alone, over an inbox filled beforehand, against raw COPY of the rows it wrote."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

import exactness
import raw
from exactness import Exactness
from installation import Drainers, Installation
from processor_time import Patience
from raw import CopySpeed
from report import Report, Target
from sellers import Seller
from sql import row
from traffic import Body, Traffic, fill_inbox

SMALL, LARGE = 5_000, 20_000  # events per merge
NAIVE_EVENTS = 2_000  # that go the naive way: four seconds of it
WARM_UP = 20_000  # events at most before each measurement, after which contracts are known

DRAIN_SMALL = Target("drain, 1 worker, merges of 5,000, to raw COPY into a bare heap", 0.10, 0.15)
DRAIN_LARGE = Target("drain, 1 worker, merges of 20,000, to raw COPY into a bare heap", 0.10, 0.15)
TWO_TO_ONE = Target("drain, 2 workers sharded by tenant, to 1 worker", 1.6, 1.9)
NAIVE = Target("drain, 1 worker, to one Django transaction per event", 50, 120)
GROWN = Target("drain with {rows:,} rows present, to empty", 0.65, 0.85)
EXACT = Target(
    "sum of marginal revenue less price of the total, over all groups", 0, 0, at_most=True
)


@dataclass(frozen=True)
class _Speed:
    """Events per second, and microseconds of processor per event: the drain's and its server's."""

    rate: float
    microseconds: float


@dataclass
class _Speeds:
    """One of each per repeat."""

    small: list[_Speed] = field(default_factory=list)
    large: list[_Speed] = field(default_factory=list)
    sharded: list[_Speed] = field(default_factory=list)
    copy_small: list[CopySpeed] = field(default_factory=list)
    copy_large: list[CopySpeed] = field(default_factory=list)


class DrainBench:
    """Drains of so many events each, by warm processes."""

    def __init__(
        self,
        installation: Installation,
        sellers: Sequence[Seller],
        *,
        events: int,
        patience: Patience,
    ) -> None:
        self._installation = installation
        self._patience = patience
        self._sellers = sellers
        self._events = events
        self._warm_up = min(events, WARM_UP)
        self._naive_events = min(events // 20, NAIVE_EVENTS)
        self._seed = 0
        self._connection: psycopg.Connection

    def run(self, report: Report, *, repeats: int, rows: int | None) -> None:
        """Interleave everything that is compared; the first, cold repeat is thrown away."""
        speeds = _Speeds()
        with (
            self._installation.connect(synchronous=False) as self._connection,
            Drainers(self._installation, 1) as one,
            Drainers(self._installation, 2) as two,
        ):
            self._repeat(one, two, _Speeds())
            exact = [self._repeat(one, two, speeds) for _ in range(repeats)]
            _tell(report, speeds, exact)
            self._run_naive(report, statistics.median(_rates(speeds.large)), repeats=repeats)
            if rows:
                self._run_grown(report, one, rows, repeats=repeats)

    def _repeat(self, one: Drainers, two: Drainers, speeds: _Speeds) -> Exactness:
        speeds.small.append(self._speed(one, SMALL))
        speeds.copy_small.append(self._copy_speed())
        speeds.sharded.append(self._speed(two, LARGE))
        speeds.large.append(self._speed(one, LARGE))
        speeds.copy_large.append(self._copy_speed())
        return exactness.check(self._connection, expected=self._expected)

    def _speed(self, drainers: Drainers, limit: int) -> _Speed:
        """From a full inbox to an empty one, by warm processes."""
        self._installation.forget_traffic()
        traffic = self._fresh_traffic()
        warm_up, bodies = traffic.bodies(self._warm_up), traffic.bodies(self._events)
        self._expected = sum(body.fresh for body in [*warm_up, *bodies])
        self._drained(drainers, warm_up, LARGE)
        return self._drained(drainers, bodies, limit)

    def _drained(self, drainers: Drainers, bodies: Sequence[Body], limit: int) -> _Speed:
        waiting = fill_inbox(self._connection, bodies)
        self._patience.wait()
        used = drainers.processor_seconds(self._connection)
        events, seconds = drainers.drain(limit)
        used = drainers.processor_seconds(self._connection) - used
        if events != waiting:
            raise RuntimeError(f"{events} of {waiting} events left the inbox")
        return _Speed(events / seconds, used / events * 1e6)

    def _copy_speed(self) -> CopySpeed:
        pieces = raw.rows_as_text(self._connection, self._events)
        self._patience.wait()
        return raw.copy_speed(self._connection, pieces)

    def _fresh_traffic(self) -> Traffic:
        self._seed += 1
        return Traffic(self._sellers, seed=self._seed, now=datetime.now(UTC))

    def _run_naive(self, report: Report, rate: float, *, repeats: int) -> None:
        self._installation.forget_traffic()
        rates = []
        for _ in range(repeats):
            bodies = self._fresh_traffic().bodies(self._naive_events)
            rates.append(self._installation.naive_rate(bodies))
        report.add(NAIVE, [rate / naive for naive in rates], _versus([rate], rates))

    def _run_grown(self, report: Report, one: Drainers, rows: int, *, repeats: int) -> None:
        """The same drain into tables that are full; nothing is truncated between repeats."""
        empty = [self._speed(one, SMALL).rate for _ in range(repeats)]
        grow(self._connection, rows)
        full = []
        for _ in range(repeats):
            traffic = self._fresh_traffic()
            self._drained(one, traffic.bodies(self._warm_up), LARGE)
            full.append(self._drained(one, traffic.bodies(self._events), SMALL).rate)
        target = Target(GROWN.what.format(rows=rows), GROWN.must, GROWN.reach)
        before = statistics.median(empty)
        report.add(target, [rate / before for rate in full], _versus(full, empty))


def grow(connection: psycopg.Connection, rows: int) -> None:
    """Copy the events that are there, with new keys, until there are so many rows of each."""
    (present,) = row(connection, "SELECT count(*) FROM usage_events")
    names = [
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'usage_events'::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attname <> 'id'"
        )
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    connection.execute(
        f"INSERT INTO usage_events ({columns}) SELECT {columns} FROM usage_events,"
        " generate_series(1, %s)",
        (rows // present,),
    )
    for _ in range(10):
        connection.execute(
            "INSERT INTO event_keys SELECT gen_random_uuid(), gen_random_uuid()"
            " FROM generate_series(1, %s)",
            (rows // 10,),
        )
    connection.execute("VACUUM ANALYZE usage_events")
    connection.execute("VACUUM ANALYZE event_keys")


def _tell(report: Report, speeds: _Speeds, exact: Sequence[Exactness]) -> None:
    for target, drained, copied in (
        (DRAIN_SMALL, speeds.small, speeds.copy_small),
        (DRAIN_LARGE, speeds.large, speeds.copy_large),
    ):
        behind = f"{_versus(_rates(drained), _rates(copied))}; {_processor(drained, copied)}"
        report.add(target, _ratios(_rates(drained), _rates(copied)), behind)
    sharded, alone = _rates(speeds.sharded), _rates(speeds.large)
    report.add(TWO_TO_ONE, _ratios(sharded, alone), _versus(sharded, alone))
    groups = sum(one.groups for one in exact)
    lost = sum(abs(one.missing) + one.twice for one in exact)
    off_by = [float(one.off_by) for one in exact]
    report.add(EXACT, off_by, f"{groups:,} groups; {lost} events lost or twice")


def _rates(speeds: Sequence[_Speed | CopySpeed]) -> list[float]:
    return [speed.rate for speed in speeds]


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(above, below, strict=True)]


def _versus(above: Sequence[float], below: Sequence[float]) -> str:
    return f"{statistics.median(above):,.0f}/s to {statistics.median(below):,.0f}/s"


def _processor(drained: Sequence[_Speed], copied: Sequence[CopySpeed]) -> str:
    """The same comparison in processor time, for when other programs disturb the clock."""
    event = statistics.median(speed.microseconds for speed in drained)
    row = statistics.median(speed.microseconds for speed in copied)
    ratio = row / event if event else 0
    return f"processor time {event:.1f} us to {row:.1f} us ({ratio:.3f})"
