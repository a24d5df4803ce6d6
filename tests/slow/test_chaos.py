"""Chaos: web, worker, Beat, Valkey and PostgreSQL are killed at random, and the books are right."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 20

pytestmark = pytest.mark.slow


def test_twenty_kills_lose_nothing_and_count_nothing_twice():
    command = [sys.executable, str(ROOT / "bench" / "chaos.py"), "--seconds", "90", "--seed", "7"]
    command += ["--kills", str(KILLS), "--pause", "3.5", "--rate", "300"]

    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)

    last = run.stdout.strip().splitlines()[-1]
    assert run.returncode == 0, run.stdout + run.stderr
    figures = dict(re.findall(r"(\w+)=(\d+)", last))
    assert (figures["lost"], figures["doubled"]) == ("0", "0")
    assert int(figures["kills"]) == KILLS
    assert int(figures["counted"]) > 3_000
