"""Everything is killed at random moments while it is used; nothing is lost, doubled or untrue.

    python bench/chaos.py --seconds 120 --seed 7

Starts an installation of its own (`aforo up`), kills web, stream, worker, Beat, Valkey and
PostgreSQL with `kill -9`, each with all of its processes (two times out of three Valkey hangs
before, or has forgotten everything after), and meanwhile

- sends known events through it (`aforo probe`), and reads the books;
- revokes keys and cancels subscriptions, and asks whether they may still call;
- pushes signed webhooks, and looks for each in the ledger;
- takes the facts that are published, and compares them with those that were.

The last line is what was found. Exit 0 only if every truth held. Same seed: the same parts in the
same order, after the same pauses. Needs /proc (Linux).
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from killing import kill, moments
from outside import Outside, outside

AFORO = str(Path(sys.executable).with_name("aforo"))
PATIENCE = 150  # seconds that a client waits for an answer
HANGS = 2.5  # seconds: whoever asks Valkey meanwhile waits until its own patience is over


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="aforo-chaos-") as folder, _installation(folder) as up:
        probe = _probe(folder, options)
        with outside(Path(folder), seed=options.seed, patience=PATIENCE) as others:
            next((line for line in probe.stdout or () if line.startswith("sending")), "")
            with others.at_it():
                kills = _kill(up, probe, Path(folder), options)
            report, _ = probe.communicate()
            figures = _figures(others)
    lines = report.strip().splitlines()
    counted = lines[-1] if lines and lines[-1].startswith("received=") else "no figures"
    print(
        f"kills={kills} {counted} " + " ".join(f"{key}={value}" for key, value in figures.items())
    )
    return probe.returncode or others.is_wrong(figures)


def _kill(
    up: int, probe: "subprocess.Popen[str]", folder: Path, options: argparse.Namespace
) -> int:
    """Kill now and then until it is time; how many were killed."""
    kills, ends = 0, time.monotonic() + options.seconds

    def forgets(_: int) -> None:
        """It comes back with nothing."""
        shutil.rmtree(folder / "valkey" / "appendonlydir")

    fates = cycle((_hangs, forgets, _dies))
    for part in moments(
        random.Random(options.seed),
        seconds=options.seconds,
        pause=options.pause,
        most=options.kills,
        is_over=lambda: probe.poll() is not None,
    ):
        fate = next(fates) if part == "valkey" else _dies
        kills += kill(up, part, before=fate)
        print(f"{kills:3} kill -9 {part}", flush=True)
    while probe.poll() is None and time.monotonic() < ends:
        time.sleep(0.2)
    return kills


def _dies(_: int) -> None:
    """It is killed while it runs, and comes back with what it held."""


def _hangs(group: int) -> None:
    """It stands still for a while, which is worse than being away."""
    os.killpg(group, signal.SIGSTOP)
    time.sleep(HANGS)


def _figures(others: Outside) -> dict[str, int]:
    figures = others.figures()
    for line in others.shown():
        print(line, flush=True)
    return figures


@contextmanager
def _installation(folder: str) -> Iterator[int]:
    """`aforo up` in `folder`, on any free port; its process."""
    told = Path(folder, "up.txt")
    command = [AFORO, "up", "--data-dir", folder, "--port", "0"]
    with told.open("wb") as output:
        up = subprocess.Popen(command, stdout=output, env=_environment())
    try:
        _wait_until_ready(told, up)
        yield up.pid
    finally:
        up.terminate()
        up.wait(60)


def _wait_until_ready(told: Path, up: "subprocess.Popen[bytes]") -> None:
    """Whatever is killed before is taken for a bad start."""
    deadline = time.monotonic() + PATIENCE
    while "Aforo is ready" not in told.read_text():
        if time.monotonic() > deadline or up.poll() is not None:
            sys.exit("aforo up did not start: see above")
        time.sleep(0.1)


def _probe(folder: str, options: argparse.Namespace) -> "subprocess.Popen[str]":
    command = [AFORO, "probe", "--data-dir", folder, "--seconds", str(options.seconds)]
    command += ["--rate", str(options.rate), "--patience", str(PATIENCE)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())


def _environment() -> dict[str, str]:
    """Ours, without anybody else's servers; our endpoint is on this machine."""
    servers = {"DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"}
    ours = {name: value for name, value in os.environ.items() if name not in servers}
    return ours | {"AFORO_PRIVATE_DESTINATIONS": "true"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to send and kill")
    parser.add_argument("--kills", type=int, default=None, help="at most so many")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between kills, about")
    parser.add_argument("--rate", type=float, default=400.0, help="events a second, about")
    parser.add_argument("--seed", type=int, default=1, help="decides what is killed when")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
