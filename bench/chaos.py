"""Everything is killed at random moments while events are sent; none is lost, none counted twice.

    python bench/chaos.py --seconds 120 --seed 7

Starts an installation of its own (`aforo up`), sends known traffic through it (`aforo probe`), and
kills web, stream, worker, Beat, Valkey and PostgreSQL with `kill -9`, each with all of its
processes. The last line is what the probe found in the books:

    kills=... received=... counted=... duplicates=... dead=... lost=0 doubled=0

Exit 0 only if every truth held. Same seed: the same parts in the same order, after the same pauses.
Needs /proc (Linux).
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AFORO = str(Path(sys.executable).with_name("aforo"))
PARTS = {  # by the words of their command line
    "web": ("granian", "wsgi"),
    "stream": ("granian", "asgi"),
    "worker": ("celery", "worker"),
    "beat": ("celery", "beat"),
    "valkey": ("valkey-server",),
    "postgres": ("postgres", "-D"),
}
STEADY = 5.5  # seconds: what falls over again sooner counts as broken, and the fifth time ends it
PATIENCE = 150  # seconds that a client waits for an answer


def main() -> int:
    options = _options()
    chosen = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="aforo-chaos-") as folder, _installation(folder) as up:
        probe = _probe(folder, options)
        kills = 0
        next((line for line in probe.stdout or () if line.startswith("sending")), "")
        for part in _moments(chosen, options, probe):
            kills += _killed(up, part)
            print(f"{kills:3} kill -9 {part}", flush=True)
        report, _ = probe.communicate()
    lines = report.strip().splitlines()
    figures = lines[-1] if lines and lines[-1].startswith("received=") else "no figures"
    print(f"kills={kills} {figures}")
    return probe.returncode


def _moments(
    chosen: random.Random, options: argparse.Namespace, probe: "subprocess.Popen[str]"
) -> Iterator[str]:
    """A part to kill now and then, until the time or the number is used up.

    Never one of the last two: those are still coming back.
    """
    ends = time.monotonic() + options.seconds
    killed: list[str] = []
    while (options.kills is None or len(killed) < options.kills) and probe.poll() is None:
        pause = chosen.uniform(0.5, 1.5) * options.pause
        if time.monotonic() + pause > ends:
            return
        time.sleep(pause)
        killed.append(chosen.choice(sorted(PARTS.keys() - killed[-2:])))
        yield killed[-1]


def _killed(up: int, part: str) -> int:
    """Kill the part once it has run steadily; 1 when it was killed, 0 when it was away too long."""
    deadline = time.monotonic() + 4 * STEADY
    while time.monotonic() < deadline:
        for pid in _tree(up):
            if _is(pid, part) and _age(pid) > STEADY:
                os.killpg(os.getpgid(pid), signal.SIGKILL)
                return 1
        time.sleep(0.05)
    return 0


def _tree(root: int) -> Iterator[int]:
    """The processes below `root`, parents first."""
    try:
        children = Path(f"/proc/{root}/task").glob("*/children")
        found = [int(pid) for file in children for pid in file.read_text().split()]
    except OSError:
        return
    for pid in found:
        yield pid
        yield from _tree(pid)


def _is(pid: int, part: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    return all(word in command for word in PARTS[part])


def _age(pid: int) -> float:
    """Seconds since it was started; 0 when it has ended."""
    try:
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, IndexError):
        return 0.0
    return uptime - started / os.sysconf("SC_CLK_TCK")


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
    """Ours, without anybody else's servers."""
    servers = {"DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in servers}


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
