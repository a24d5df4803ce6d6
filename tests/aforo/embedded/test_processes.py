"""A child, its own children, and what becomes of them when we or it are killed."""

import os
import signal
import subprocess
import sys

import pytest

from aforo.embedded.processes import LOG_LIMIT, Child
from tests.aforo.embedded.conftest import PARENT, PATIENT, STUBBORN
from tests.waiting import eventually, is_alive

VICTIM = """
import os, sys
from pathlib import Path
from aforo.embedded.processes import Child, Guard, Program
program = Program("child", (sys.executable, "-I", "-S", "-c", sys.argv[2]), dict(os.environ))
guard = Guard()
guard.remove(Path(sys.argv[1]) / "sockets")
child = Child(program, logs=Path(sys.argv[1]), guard=guard)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run_victim(tmp_path):
    """Run a process that starts `source` as a child, to be killed; give it and the child's id."""
    victims = []

    def run(source: str) -> tuple[subprocess.Popen, int]:
        command = [sys.executable, "-c", VICTIM, str(tmp_path), source]
        victim = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        victims.append(victim)
        return victim, int(victim.stdout.readline())

    yield run
    for victim in victims:
        victim.kill()
        victim.communicate()


def test_a_child_writes_to_its_log_and_its_exit_code_is_known(script, tmp_path, guard):
    child = Child(
        script("print('first'); print('last'); raise SystemExit(3)"), logs=tmp_path, guard=guard
    )

    assert eventually(lambda: not child.is_running())

    assert (child.exit_code, child.last_words()) == (3, "first\nlast")


def test_last_words_are_those_since_the_last_start(script, tmp_path, guard):
    for word in ("old", "new"):
        child = Child(script(f"print({word!r})"), logs=tmp_path, guard=guard)
        assert eventually(lambda child=child: not child.is_running())

    assert child.last_words() == "new"


def test_a_long_log_is_set_aside_when_its_program_starts(script, tmp_path, guard):
    (tmp_path / "script.log").write_bytes(b"x" * (LOG_LIMIT + 1))

    child = Child(script("print('new')"), logs=tmp_path, guard=guard)
    assert eventually(lambda: not child.is_running())

    assert (tmp_path / "script.log").read_text() == "new\n"
    assert (tmp_path / "script.log.1").stat().st_size == LOG_LIMIT + 1


def test_children_of_a_killed_child_are_killed(script, tmp_path, guard):
    child = Child(script(PARENT), logs=tmp_path, guard=guard)
    assert eventually(child.last_words)
    grandchild = int(child.last_words())

    os.kill(child.pid, signal.SIGKILL)

    assert eventually(lambda: not child.is_running())
    assert eventually(lambda: not is_alive(grandchild))


def test_a_child_starts_in_a_session_of_its_own(script, tmp_path, guard):
    child = Child(script(PATIENT), logs=tmp_path, guard=guard)

    assert os.getsid(child.pid) == child.pid

    child.kill()
    assert eventually(lambda: not child.is_running())


def test_nothing_outlives_a_killed_parent(run_victim, tmp_path):
    (tmp_path / "sockets").mkdir()
    victim, child = run_victim(PATIENT)

    victim.kill()

    assert eventually(lambda: not is_alive(child))
    assert eventually(lambda: not (tmp_path / "sockets").exists())


@pytest.mark.slow  # the guard's patience is ten seconds
def test_not_even_the_deaf_grandchildren_of_a_killed_parent_live_on(run_victim, tmp_path):
    victim, child = run_victim(PARENT)
    assert eventually((tmp_path / "child.log").read_text)
    grandchild = int((tmp_path / "child.log").read_text())

    victim.kill()

    assert eventually(lambda: not is_alive(child))
    assert eventually(lambda: not is_alive(grandchild), within=15)


@pytest.mark.slow  # likewise
def test_a_deaf_child_of_a_killed_parent_is_killed(run_victim, tmp_path):
    victim, child = run_victim(STUBBORN)
    assert eventually(lambda: "deaf" in (tmp_path / "child.log").read_text())

    victim.kill()

    assert eventually(lambda: not is_alive(child), within=15)
