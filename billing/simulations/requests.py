"""Simulations that were asked for: kept as rows, run by a worker, told how far they are."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import redis
import structlog
from django.db import transaction

from aforo import valkey
from aforo.errors import AforoError
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import Simulation
from billing.simulations import runner, scenario

log = structlog.get_logger(__name__)

_PROGRESS_SECONDS = 3_600


@transaction.atomic
def ask_for_simulation(
    *,
    tenant: Tenant,
    mapping: Mapping[str, object],
    actor: Actor,
    now: datetime,
    seed: int | None = None,
) -> Simulation:
    """Keep a scenario and queue it. Refused (422) where it is none; `seed` goes before its own."""
    asked = scenario.of_mapping(mapping)
    row = Simulation.objects.create(
        tenant=tenant,
        name=asked.name[:200],
        scenario=dict(mapping),
        seed=asked.seed if seed is None else seed,
        created_at=now,
    )
    changes = audit.differences({}, {"name": row.name, "seed": row.seed})
    audit.record(
        tenant=tenant,
        actor=actor,
        action="SIMULATION_STARTED",
        target=row,
        now=now,
        changes=changes,
    )
    enqueue("billing.run_simulation", simulation_id=str(row.pk))
    return row


def run_simulation(*, simulation_id: UUID, now: datetime) -> str:
    """Run a simulation that waits; one that a killed worker left behind is run anew. Its status."""
    row = Simulation.objects.get(pk=simulation_id)  # any tenant: by id
    if row.status not in {Simulation.Status.QUEUED, Simulation.Status.RUNNING}:
        return str(row.status)
    row.status, row.started_at = Simulation.Status.RUNNING, now
    row.save(update_fields=["status", "started_at"])
    asked = scenario.of_mapping(row.scenario)
    asked.seed = row.seed
    try:
        report = runner.run(asked, tell=lambda percent: _tell(row.pk, percent))
    except AforoError as error:
        row.status, row.error = Simulation.Status.BROKEN, error.detail[:4_000]
    else:
        row.status = Simulation.Status.PASSED if report.passed else Simulation.Status.FAILED
        row.report = report.as_dict()
    row.progress, row.completed_at = 100, now
    row.save(update_fields=["status", "error", "report", "progress", "completed_at"])
    return str(row.status)


def progress_of(row: Simulation) -> int:
    """How many percent of the steps are done; the row itself says so only at the end."""
    if row.status != Simulation.Status.RUNNING:
        return row.progress
    try:
        return int(valkey.client().get(_key(row.pk)) or 0)
    except redis.RedisError:
        return 0


def _tell(simulation_id: UUID, percent: int) -> None:
    # Not in the row: the simulation runs in a transaction of which nothing is kept.
    try:
        valkey.client().set(_key(simulation_id), percent, ex=_PROGRESS_SECONDS)
    except redis.RedisError as error:
        log.info("progress_not_told", simulation=str(simulation_id), error=str(error))


def _key(simulation_id: UUID) -> str:
    return f"simulation:{simulation_id}"
