"""Valkey goes away under a worker that holds a task, and comes back.

Celery 5.7.0 exits at that, with a message unacknowledged; what we run must not. Real processes.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from celery import Celery

from aforo.embedded.probes import RoundTrip
from aforo.embedded.processes import Program
from aforo.embedded.supervisor import Supervisor
from aforo.embedded.valkey import Valkey
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
RECOVERY = 60.0  # seconds; Celery waits longer before each attempt to connect
LOST = "Connection to broker lost"


class Drop:
    """A worker and a beat on a Valkey that can be taken away."""

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self.valkey = Valkey(folder, folder, durable=True)
        self.folder = folder
        self._supervisor = supervisor
        self._celery = Celery(set_as_current=False)
        self._celery.conf.update(broker_write_url=self.valkey.broker_url)

    def start(self) -> None:
        self.start_valkey()
        schedule = ("--schedule", str(self.folder / "schedule"), "--pidfile=")
        self._supervisor.keep(self._celery_program("worker", "--concurrency", "1"))
        self._supervisor.keep(self._celery_program("beat", *schedule))

    def start_valkey(self) -> None:
        self._supervisor.keep(self.valkey.server())
        self._supervisor.wait_until(self.valkey.answers, "Valkey did not answer")

    def stop_valkey(self, how: signal.Signals) -> None:
        child = self._supervisor.kept["valkey"].child
        os.kill(child.pid, how)
        assert eventually(lambda: not child.is_running())

    def hold_a_task(self) -> None:
        self._celery.send_task("held.hold")
        self._supervisor.wait_until((self.folder / "begun").exists, "the task did not begin")

    def let_go(self) -> None:
        (self.folder / "may-end").touch()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def pids(self) -> dict[str, int]:
        return {name: self._supervisor.kept[name].child.pid for name in ("worker", "beat")}

    def all_run(self) -> bool:
        return all(kept.child.is_running() for kept in self._supervisor.kept.values())

    def ticks(self) -> int:
        return len((self.folder / "ticks").read_text().splitlines())

    def answers(self) -> bool:
        return eventually(RoundTrip(self.valkey.broker_url).has_returned, within=RECOVERY)

    def _celery_program(self, command: str, *options: str) -> Program:
        environment = os.environ | {
            "REDIS_URL": self.valkey.url,
            "CELERY_BROKER_URL": self.valkey.broker_url,
            "HELD_TASKS_FOLDER": str(self.folder),
            "PYTHONPATH": str(ROOT),
        }
        celery = (sys.executable, "-m", "celery", "--app", "tests.slow.held_tasks:app")
        return Program(command, (*celery, command, *options), environment)


@pytest.fixture
def drop(folder, guard) -> Iterator[Drop]:
    supervisor = Supervisor(logs=folder, guard=guard, stopping=Event())
    yield Drop(supervisor, folder)
    supervisor.stop("worker", "beat")
    supervisor.stop("valkey")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_worker_holding_a_task_survives_the_loss_of_its_broker(drop, how):
    drop.start()
    pids = drop.pids()
    drop.hold_a_task()

    drop.stop_valkey(how)
    assert eventually(lambda: LOST in drop.log("worker"), within=RECOVERY)
    drop.start_valkey()
    drop.let_go()

    assert eventually((drop.folder / "ended").exists, within=RECOVERY)
    assert drop.answers()
    ticks = drop.ticks()
    assert eventually(lambda: drop.ticks() >= ticks + 3, within=RECOVERY)
    assert drop.all_run()
    assert drop.pids() == pids
