"""The world of one simulation: a tenant, its keys and its clock, which nobody else ever sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.simulations.calls import Caller
from billing.simulations.scenario import Scenario
from catalog.services.advancing import advance_tenant
from catalog.services.openings import open_sandbox, open_tenant
from metering.ingest import drain, enrichment
from metering.models import InboxBatch
from metering.services import clocks, partitions

DRAIN_AT = 20  # requests, of up to a thousand events each, that are drained together
_DAY = timedelta(days=1)
_ACTOR = Actor.system("simulation")


@dataclass(slots=True)
class World:
    """A sandbox that will not have been, with an operator and a sender of usage."""

    tenant: Tenant
    operator: Caller
    sender: Caller
    waiting: int = 0
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        moment = self.tenant.clock_frozen_at
        assert moment is not None  # noqa: S101 - it was frozen when the world was made
        return moment

    def move_clock(self, to: datetime) -> None:
        """On to `to`; what waits is counted before, at the time at which it came."""
        self.drain()
        self.tenant = clocks.advance(tenant=self.tenant, to=to, actor=_ACTOR)
        advance_tenant(self.tenant.pk, now=self.now)  # what Beat would do

    def send(self, body: bytes) -> None:
        """Usage through the door; drained when enough of it waits."""
        self.sender.send("POST", "/v1/ingest/batch", body)
        self.waiting += 1
        if self.waiting >= DRAIN_AT:
            self.drain()

    def drain(self) -> None:
        """Count what waits, as a worker does."""
        mine = InboxBatch.objects.filter(tenant_id=self.tenant.pk)  # any tenant: filtered by id
        ids = list(mine.order_by("id").values_list("id", flat=True))
        if ids:
            with transaction.atomic():
                drain.drain(ids, now=self.now)
        self.waiting = 0
        connection.run_on_commit.clear()  # there will be no commit; they would hold every event


@contextmanager
def undone_world(scenario: Scenario) -> Iterator[World]:
    """A world at the scenario's first moment, all of which is rolled back at the end."""
    _make_partitions(scenario)
    try:
        with transaction.atomic():
            yield _created(scenario)
            transaction.set_rollback(True)
    finally:
        enrichment.forget_everything()


def _make_partitions(scenario: Scenario) -> None:
    """Before the transaction: whoever makes one in it would keep everybody's events waiting."""
    moments = [scenario.clock]
    for step in scenario.steps:
        moments += [step.clock] if step.clock else []
        moments += [step.usage.to] if step.usage and step.usage.to else []
    partitions.make_around(moments)


def _created(scenario: Scenario) -> World:
    live = open_tenant(
        name="Simulation",
        currency=scenario.currency,
        time_zone=scenario.time_zone,
        country=scenario.country,
        actor=_ACTOR,
        now=scenario.clock - _DAY,
    )
    opening = open_sandbox(live=live.tenant, actor=_ACTOR, now=scenario.clock - _DAY)
    tenant = clocks.freeze(tenant=opening.tenant, at=scenario.clock, actor=_ACTOR)
    return World(tenant, Caller(opening.operator_key), Caller(opening.metering_key))
