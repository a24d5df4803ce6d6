"""Servers for one command: there while it runs, gone after it, also when we are killed."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.waiting import eventually

ASK = "import os; print(os.environ['REDIS_URL'], flush=True); import sys; sys.exit(7)"
WAIT = "import os, time; print(os.environ['REDIS_URL'], flush=True); time.sleep(60)"


@pytest.fixture
def run():
    """Run a bit of Python among throw-away servers of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    started = []

    def start(source: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "aforo.embedded.throwaway", sys.executable, "-c", source]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def home_of(process: subprocess.Popen) -> Path:
    url = process.stdout.readline().decode()
    return Path(urlsplit(url).path).parent.parent


def test_a_command_runs_among_servers_and_its_exit_code_is_ours(run):
    process = run(ASK)
    home = home_of(process)

    assert process.wait(timeout=30) == 7
    assert eventually(lambda: not home.exists())


def test_servers_of_a_killed_run_go_with_their_folder(run):
    process = run(WAIT)
    home = home_of(process)
    assert home.exists()

    process.kill()

    assert eventually(lambda: not home.exists(), within=20)
