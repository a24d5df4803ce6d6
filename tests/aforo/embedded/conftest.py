import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from aforo.embedded.processes import Guard, Program
from aforo.embedded.supervisor import Supervisor


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach, unlike pytest's own when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="aforo-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as path:
        yield path


@pytest.fixture(scope="module")
def module_folder() -> Iterator[Path]:
    with reachable_folder() as path:
        yield path


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.dismiss()


@pytest.fixture
def supervisor(tmp_path, guard) -> Iterator[Supervisor]:
    supervisor = Supervisor(logs=tmp_path, guard=guard, stopping=Event())
    yield supervisor
    supervisor.stop(*supervisor.kept)


@pytest.fixture
def script():
    """Make a program out of a few lines of Python."""

    def make(source: str, *, name: str = "script", **more) -> Program:
        return Program(name, (sys.executable, "-I", "-S", "-c", source), dict(os.environ), **more)

    return make


STUBBORN = f"""
import signal, time
signal.signal({signal.SIGTERM:d}, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
PATIENT = "import time; print('here', flush=True); time.sleep(600)"
PARENT = f"""
import subprocess, sys, time
command = [sys.executable, "-I", "-S", "-c", {STUBBORN!r}]
child = subprocess.Popen(command, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
