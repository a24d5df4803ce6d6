"""Chaos: web, worker, Beat, Valkey and PostgreSQL are killed at random, and all stays true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 20
NEVER = (
    "lost",
    "doubled",
    "wrong_yes",
    "pushes_lost",
    "pushes_doubled",
    "facts_lost",
    "facts_unordered",
    "facts_invented",
    "facts_unsaid",
)

pytestmark = pytest.mark.slow


def test_twenty_kills_lose_nothing_double_nothing_and_let_nobody_in():
    command = [sys.executable, str(ROOT / "bench" / "chaos.py"), "--seconds", "85", "--seed", "7"]
    command += ["--kills", str(KILLS), "--pause", "3.2", "--rate", "300"]

    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)

    last = run.stdout.strip().splitlines()[-1]
    assert run.returncode == 0, run.stdout + run.stderr
    figures = {name: int(figure) for name, figure in re.findall(r"(\w+)=(\d+)", last)}
    assert {name: figures[name] for name in NEVER} == dict.fromkeys(NEVER, 0)
    assert figures["kills"] == KILLS
    assert figures["counted"] > 1_000
    assert min(figures[name] for name in ("yes", "no", "pushes", "facts", "closed")) > 8
