"""The drain alone, over an inbox filled beforehand, by one, two and four worker processes."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import exactness
from drain_speed import LARGE, DrainMeter, Speed, behind, rates, ratios, versus
from exactness import Exactness
from installation import Drainers, Installation
from raw import CopySpeed
from report import Report, Target
from sellers import Seller

SMALL = 5_000  # events per merge
NAIVE_EVENTS = 2_000  # that go the naive way: four seconds of it

DRAIN_SMALL = Target("drain, 1 worker, merges of 5,000, to raw COPY into a bare heap", 0.10, 0.15)
DRAIN_LARGE = Target("drain, 1 worker, merges of 20,000, to raw COPY into a bare heap", 0.10, 0.15)
TWO_TO_ONE = Target("drain, 2 workers sharded by tenant, to 1 worker", 1.6, 1.9)
FOUR_TO_ONE = Target("drain, 4 workers sharded by tenant, to 1 worker", 1.6, 1.9)
NAIVE = Target("drain, 1 worker, to one Django transaction per event", 50, 120)
EXACT = Target(
    "sum of marginal revenue less price of the total, over all groups", 0, 0, at_most=True
)


@dataclass
class _Speeds:
    """One of each per repeat."""

    small: list[Speed] = field(default_factory=list)
    large: list[Speed] = field(default_factory=list)
    by_two: list[Speed] = field(default_factory=list)
    by_four: list[Speed] = field(default_factory=list)
    copy_small: list[CopySpeed] = field(default_factory=list)
    copy_large: list[CopySpeed] = field(default_factory=list)


class DrainBench:
    """Drains by warm processes; everything that is compared is interleaved."""

    def __init__(
        self, installation: Installation, meter: DrainMeter, sellers: Sequence[Seller]
    ) -> None:
        self._installation = installation
        self._meter = meter
        self._sellers = sellers

    def run(self, report: Report, *, repeats: int) -> None:
        """The first, cold repeat is thrown away."""
        speeds = _Speeds()
        with (
            Drainers(self._installation, 1) as one,
            Drainers(self._installation, 2) as two,
            Drainers(self._installation, 4) as four,
        ):
            self._repeat(one, two, four, _Speeds())
            exact = [self._repeat(one, two, four, speeds) for _ in range(repeats)]
        _tell(report, speeds, exact)
        self._run_naive(report, statistics.median(rates(speeds.large)), repeats=repeats)

    def _repeat(self, one: Drainers, two: Drainers, four: Drainers, speeds: _Speeds) -> Exactness:
        meter, sellers = self._meter, self._sellers
        speeds.small.append(meter.anew(one, sellers, SMALL))
        speeds.copy_small.append(meter.copied())
        speeds.by_two.append(meter.anew(two, sellers, LARGE))
        speeds.by_four.append(meter.anew(four, sellers, LARGE))
        speeds.large.append(meter.anew(one, sellers, LARGE))
        speeds.copy_large.append(meter.copied())
        return exactness.check(meter.connection, expected=meter.expected)

    def _run_naive(self, report: Report, rate: float, *, repeats: int) -> None:
        self._installation.forget_traffic()
        events, naive = min(self._meter.events // 20, NAIVE_EVENTS), []
        for _ in range(repeats):
            bodies = self._meter.fresh_traffic(self._sellers).bodies(events)
            naive.append(self._installation.naive_rate(bodies))
        report.add(NAIVE, [rate / other for other in naive], versus([rate], naive))


def _tell(report: Report, speeds: _Speeds, exact: Sequence[Exactness]) -> None:
    compared: Sequence[tuple[Target, Sequence[Speed], Sequence[Speed | CopySpeed]]] = (
        (DRAIN_SMALL, speeds.small, speeds.copy_small),
        (DRAIN_LARGE, speeds.large, speeds.copy_large),
        (TWO_TO_ONE, speeds.by_two, speeds.large),
        (FOUR_TO_ONE, speeds.by_four, speeds.large),
    )
    for target, above, below in compared:
        report.add(target, ratios(above, below), behind(above, below))
    groups = sum(one.groups for one in exact)
    lost = sum(abs(one.missing) + one.twice for one in exact)
    off_by = [float(one.off_by) for one in exact]
    report.add(EXACT, off_by, f"{groups:,} groups; {lost} events lost or twice")
