"""One drain, from a full inbox to an empty one by warm processes, and raw COPY of its rows."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

import raw
from installation import Drainers, Installation
from processor_time import Patience
from raw import CopySpeed
from sellers import Seller
from traffic import Body, Traffic, fill_inbox

LARGE = 20_000  # events per merge: what a worker takes at most
WARM_UP = 20_000  # events at most before each measurement, after which contracts are known


@dataclass(frozen=True)
class Speed:
    """Events per second, and microseconds of processor per event: the drain's and its server's."""

    rate: float
    microseconds: float


class DrainMeter:
    """Measures drains of so many events each; `expected` counts those that must be there."""

    def __init__(
        self,
        installation: Installation,
        connection: psycopg.Connection,
        *,
        events: int,
        patience: Patience,
    ) -> None:
        self.connection = connection
        self.events = events
        self.expected = 0
        self._installation = installation
        self._patience = patience
        self._seed = 0

    def anew(
        self, drainers: Drainers, sellers: Sequence[Seller], limit: int, *, warm_up: int = WARM_UP
    ) -> Speed:
        """The speed into empty tables, once processes have drained some of the same traffic."""
        self._installation.forget_traffic()
        self.expected = 0
        return self.on_top(drainers, sellers, limit, warm_up=warm_up)

    def on_top(
        self, drainers: Drainers, sellers: Sequence[Seller], limit: int, *, warm_up: int = WARM_UP
    ) -> Speed:
        """The speed into tables as they are."""
        traffic = self.fresh_traffic(sellers)
        self._drained(drainers, traffic.bodies(warm_up), LARGE)
        return self._drained(drainers, traffic.bodies(self.events), limit)

    def fresh_traffic(self, sellers: Sequence[Seller]) -> Traffic:
        """Traffic that has not been seen in this run."""
        self._seed += 1
        return Traffic(sellers, seed=self._seed, now=datetime.now(UTC))

    def copied(self) -> CopySpeed:
        """Raw COPY of as many of the rows that the last drain wrote."""
        pieces = raw.rows_as_text(self.connection, self.events)
        self._patience.wait()
        return raw.copy_speed(self.connection, pieces)

    def _drained(self, drainers: Drainers, bodies: Sequence[Body], limit: int) -> Speed:
        self.expected += sum(body.fresh for body in bodies)
        waiting = fill_inbox(self.connection, bodies)
        self._patience.wait()
        used = drainers.processor_seconds(self.connection)
        events, seconds = drainers.drain(limit)
        used = drainers.processor_seconds(self.connection) - used
        if events != waiting:
            raise RuntimeError(f"{events} of {waiting} events left the inbox")
        return Speed(events / seconds, used / events * 1e6)


def rates(speeds: Iterable[Speed | CopySpeed]) -> list[float]:
    return [speed.rate for speed in speeds]


def ratios(above: Sequence[Speed], below: Sequence[Speed | CopySpeed]) -> list[float]:
    """One per repeat."""
    return [one.rate / other.rate for one, other in zip(above, below, strict=True)]


def versus(above: Sequence[float], below: Sequence[float]) -> str:
    return f"{statistics.median(above):,.0f}/s to {statistics.median(below):,.0f}/s"


def behind(above: Sequence[Speed], below: Sequence[Speed | CopySpeed]) -> str:
    """Both rates, and the same comparison in processor time: other programs disturb it little."""
    event = statistics.median(speed.microseconds for speed in above)
    other = statistics.median(speed.microseconds for speed in below)
    ratio = other / event if event else 0
    return (
        f"{versus(rates(above), rates(below))};"
        f" processor time {event:.1f} us to {other:.1f} us ({ratio:.3f})"
    )
