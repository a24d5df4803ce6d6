"""Figures, what they must be, and the table that says so."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

THOUSAND = 1_000


@dataclass(frozen=True)
class Target:
    """What a figure must reach and what we would like it to; some are better small."""

    what: str
    must: float
    reach: float
    at_most: bool = False
    unit: str = ""

    def verdict(self, value: float) -> str:
        def holds(limit: float) -> bool:
            return value <= limit if self.at_most else value >= limit

        if holds(self.reach):
            return "PASS, reached"
        return "PASS" if holds(self.must) else "**short**"

    def limit(self, value: float) -> str:
        return f"{'<=' if self.at_most else '>='} {value:g}{self.unit}"


@dataclass(frozen=True)
class Figure:
    """One ratio, from as many repeats as there are samples, with the absolute figures behind it."""

    target: Target
    samples: Sequence[float]
    behind: str

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    def row(self) -> str:
        low, high = min(self.samples), max(self.samples)
        spread = f"{_short(low)} to {_short(high)}" if len(self.samples) > 1 else "one run"
        target = self.target
        return (
            f"| {target.what} | {_short(self.value)}{target.unit} | {spread} |"
            f" {target.limit(target.must)} | {target.limit(target.reach)} |"
            f" {target.verdict(self.value)} | {self.behind} |"
        )

    def as_dict(self) -> dict[str, object]:
        target = self.target
        return {
            "what": target.what,
            "value": self.value,
            "samples": list(self.samples),
            "must": target.must,
            "reach": target.reach,
            "atMost": target.at_most,
            "verdict": target.verdict(self.value).strip("*"),
            "behind": self.behind,
        }


@dataclass
class Report:
    """All figures of one run, and where they were measured."""

    settings: Mapping[str, str]
    figures: list[Figure] = field(default_factory=list)

    def add(self, target: Target, samples: Sequence[float], behind: str) -> None:
        """Note a figure, and print it at once: a long run shows how far it is."""
        figure = Figure(target, tuple(samples), behind)
        self.figures.append(figure)
        print(figure.row(), flush=True)

    def print_head(self) -> None:
        print("\n".join(f"{name}: {value}" for name, value in self._machine().items()))
        print("\n| what | measured | spread | must | reach | verdict | behind it |")
        print("|---|---|---|---|---|---|---|", flush=True)

    def write(self, path: Path) -> None:
        content = {
            "machine": self._machine(),
            "figures": [figure.as_dict() for figure in self.figures],
        }
        path.write_text(json.dumps(content, indent=2) + "\n")

    def _machine(self) -> dict[str, str]:
        load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
        return {
            "processor": f"{_processor()}, {os.cpu_count()} cores",
            "load before": load,
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
            **{f"postgresql {name}": value for name, value in self.settings.items()},
        }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _short(value: float) -> str:
    return f"{value:.3g}" if value < THOUSAND else f"{value:,.0f}"
