"""When an event last came for a unit: gathered by drains at almost no cost, written by Beat."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import redis

from aforo import valkey
from metering.ingest.rating import Locked

NOTE_EVERY = 30.0  # seconds; how stale it may be, per unit and process
_HASH = "unit_use"


class UnitUse:
    """What one process has told Redis; per unit of a drain it costs a look."""

    def __init__(self) -> None:
        self._told: dict[UUID, float] = {}

    def note(self, units: Iterable[tuple[UUID, UUID]]) -> None:
        """Say that these (tenant, unit) had events just now. Never raises."""
        now = time.monotonic()
        due = {
            unit_id: tenant_id
            for tenant_id, unit_id in units
            if now - self._told.get(unit_id, -NOTE_EVERY) >= NOTE_EVERY
        }
        if not due:
            return
        self._told |= dict.fromkeys(due, now)
        at = time.time()
        values = {str(unit_id): f"{tenant_id} {at}" for unit_id, tenant_id in due.items()}
        try:
            valkey.client().hset(_HASH, mapping=values)  # type: ignore[arg-type]
        except redis.RedisError:
            return


note = UnitUse().note


def note_all(locked: Locked) -> None:
    """Note the units that counted a committed drain's events, or would have with a price."""
    priced = {id(target.unit): target for target in locked.groups}  # few units, many targets
    units = {(target.tenant_id, target.unit.unit_id) for target in priced.values()}
    note(units.union((one.tenant_id, one.unit_id) for _, one in locked.unbilled if one.unit_id))


def take_uses() -> list[tuple[UUID, UUID, datetime]]:
    """(unit, tenant, time) of what all processes noted since the last time, and forget it."""
    with valkey.client().pipeline(transaction=True) as pipeline:
        pipeline.hgetall(_HASH)
        pipeline.delete(_HASH)
        noted, _ = pipeline.execute()
    uses = []
    for unit_id, value in noted.items():
        tenant_id, at = value.decode().split()
        moment = datetime.fromtimestamp(float(at), tz=UTC)
        uses.append((UUID(unit_id.decode()), UUID(tenant_id), moment))
    return uses
