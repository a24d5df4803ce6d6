"""The product's Celery application with tasks whose work a test can hold up, and a quick beat."""

import os
from pathlib import Path

from aforo.celery import app
from tests.waiting import eventually

FOLDER = Path(os.environ["HELD_TASKS_FOLDER"])

app.conf.beat_schedule = {"tick": {"task": "held.tick", "schedule": 0.5}}


@app.task(name="held.hold")
def hold() -> None:
    """Say that it has begun, and end when the test says so."""
    (FOLDER / "begun").touch()
    assert eventually((FOLDER / "may-end").exists, within=60)
    with (FOLDER / "ended").open("a") as ended:
        ended.write("once\n")


@app.task(name="held.tick")
def tick() -> None:
    with (FOLDER / "ticks").open("a") as ticks:
        ticks.write("tick\n")
