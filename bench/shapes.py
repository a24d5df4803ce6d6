"""The same drain for other shapes of traffic: few subscriptions, many, and one far ahead of all."""

from collections.abc import Sequence
from dataclasses import replace

from drain_speed import LARGE, WARM_UP, DrainMeter, Speed, behind, ratios
from installation import Drainers, Installation
from raw import CopySpeed
from report import Report, Target
from sellers import SUBSCRIPTIONS, Seller

EVENTS_EACH = 24  # of a subscription before a measurement, so that nearly all totals have come up
COUNTS = (1, 100, 10_000)  # of active subscriptions, beside the usual thousand
HALF = f"{SUBSCRIPTIONS:,} active, one with half of the traffic"


def active(sellers: Sequence[Seller], count: int) -> list[Seller]:
    """Sellers of whose subscriptions only so many in all have traffic."""
    busy = sellers[: min(count, len(sellers))]
    each = count // len(busy)
    return [replace(seller, customers=seller.customers[:each]) for seller in busy]


def led(sellers: Sequence[Seller]) -> list[Seller]:
    """The first subscription has every other batch to itself."""
    leader = replace(sellers[0], customers=sellers[0].customers[:1])
    return [one for seller in sellers for one in (leader, seller)]


def _warm_up(sellers: Sequence[Seller]) -> int:
    present = sum(len(seller.customers) for seller in sellers)
    return max(WARM_UP, EVENTS_EACH * present)


class ShapeBench:
    """Every shape once per repeat, each against raw COPY of its own rows."""

    def __init__(
        self, installation: Installation, meter: DrainMeter, sellers: Sequence[Seller]
    ) -> None:
        self._installation = installation
        self._meter = meter
        present = sum(len(seller.customers) for seller in sellers)
        shapes = {f"{n:,} active": active(sellers, n) for n in COUNTS if n <= present}
        self._shapes = shapes | {HALF: led(active(sellers, SUBSCRIPTIONS))}

    def run(self, report: Report, *, repeats: int) -> None:
        drained: dict[str, list[Speed]] = {name: [] for name in self._shapes}
        copied: dict[str, list[CopySpeed]] = {name: [] for name in self._shapes}
        with Drainers(self._installation, 1) as one:
            for _ in range(repeats):
                for name, sellers in self._shapes.items():
                    speed = self._meter.anew(one, sellers, LARGE, warm_up=_warm_up(sellers))
                    drained[name].append(speed)
                    copied[name].append(self._meter.copied())
        for name in self._shapes:
            target = Target(f"drain, 1 worker, {name}, to raw COPY", 0.10, 0.15)
            above, below = drained[name], copied[name]
            report.add(target, ratios(above, below), behind(above, below))
