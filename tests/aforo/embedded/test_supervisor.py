"""What is kept runs again after it fell over, until it does so too often."""

import os
import signal
import time

import pytest

from aforo.embedded import supervisor as supervision
from aforo.embedded.processes import StackError
from aforo.embedded.supervisor import ProgramFailed, Stopped
from tests.aforo.embedded.conftest import PATIENT, STUBBORN
from tests.waiting import eventually, is_alive


@pytest.fixture
def quick_restarts(monkeypatch):
    monkeypatch.setattr(supervision, "RESTART_AFTER", (0.01, 0.01))


def test_a_program_that_is_run_must_end_well(supervisor, script):
    supervisor.run(script("print('fine')"))

    with pytest.raises(ProgramFailed, match=r"(?s)script ended with exit code 7:.*cannot do this"):
        supervisor.run(script("print('cannot do this'); raise SystemExit(7)"))


def test_a_killed_program_is_started_again(supervisor, script):
    supervisor.keep(script(PATIENT))
    kept = supervisor.kept["script"]
    first = kept.child.pid

    os.kill(first, signal.SIGKILL)

    assert eventually(lambda: kept.look() or kept.starts == 2)
    assert kept.child.pid != first
    assert kept.child.is_running()


def test_the_first_restart_comes_at_once_and_the_next_ones_later():
    assert supervision.RESTART_AFTER[0] < 0.5
    assert list(supervision.RESTART_AFTER) == sorted(supervision.RESTART_AFTER)
    assert len(supervision.RESTART_AFTER) == 4


@pytest.mark.usefixtures("quick_restarts")
def test_a_program_that_falls_over_again_and_again_is_given_up(supervisor, script):
    supervisor.keep(script("print('no disk'); raise SystemExit(1)"))

    with pytest.raises(ProgramFailed, match=r"(?s)fell over 3 times in a row:.*no disk"):
        eventually(supervisor.kept["script"].look)

    assert supervisor.kept["script"].starts == 3


@pytest.mark.usefixtures("quick_restarts")
def test_failures_are_forgotten_after_a_steady_run(supervisor, script, monkeypatch):
    monkeypatch.setattr(supervision, "STEADY", 0.0)
    supervisor.keep(script(PATIENT))
    kept = supervisor.kept["script"]

    for starts in range(2, 7):
        assert eventually(lambda: "here" in kept.child.last_words())
        kept.look()  # sees it run
        kept.child.kill()
        assert eventually(lambda starts=starts: kept.look() or kept.starts == starts)


def test_a_program_that_ends_while_an_answer_is_awaited_fails_the_start(supervisor, script):
    supervisor.keep(script("print('bad option'); raise SystemExit(2)"))

    with pytest.raises(ProgramFailed, match=r"(?s)ended at once:.*bad option"):
        supervisor.wait_until(lambda: False, "nobody answered")


def test_an_answer_that_does_not_come_fails_the_start(supervisor, monkeypatch):
    monkeypatch.setattr(supervision, "START_WITHIN", 0.1)

    with pytest.raises(StackError, match=r"nobody answered within 0 s; see .*/"):
        supervisor.wait_until(lambda: False, "nobody answered")


def test_waiting_ends_when_somebody_asks_to_stop(supervisor):
    supervisor._stopping.set()

    with pytest.raises(Stopped):
        supervisor.wait_until(lambda: False, "nobody answered")


def test_programs_are_asked_to_stop_together(supervisor, script):
    names = [f"script-{number}" for number in range(3)]
    for name in names:
        supervisor.keep(script(PATIENT, name=name))
    pids = [kept.child.pid for kept in supervisor.kept.values()]

    supervisor.stop(*names, "never-started")

    assert not any(is_alive(pid) for pid in pids)
    exit_codes = {kept.child.exit_code for kept in supervisor.kept.values()}
    assert exit_codes == {-signal.SIGTERM}


def test_what_does_not_stop_in_its_time_is_killed(supervisor, script):
    supervisor.keep(script(STUBBORN, stop_within=0.2))
    child = supervisor.kept["script"].child
    assert eventually(lambda: "deaf" in child.last_words())
    began_at = time.monotonic()

    supervisor.stop("script")

    assert child.exit_code == -signal.SIGKILL
    assert 0.2 < time.monotonic() - began_at < 5
