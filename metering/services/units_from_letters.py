"""A metric that nobody had defined: its unit is created and what was refused is sent again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import BillableUnit
from catalog.services.billable_units import create_unit
from metering.models import LetterDecision
from metering.selectors.letters import Chosen
from metering.services import letter_decisions

CODE = "UNKNOWN_METRIC"


class UnitAndReplay(NamedTuple):
    """What one act made: the unit, and the decision that sends its events again."""

    unit: BillableUnit
    decision: LetterDecision


def create_unit_and_replay(
    *,
    tenant: Tenant,
    metric: str,
    unit: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> UnitAndReplay:
    """Create a unit for `metric`, and replay all letters that were refused for want of it.

    `unit` is what `create_unit` takes; its name is the metric's unless it says otherwise, and then
    its source metric is. Conflict when a unit of that name is there. All or nothing.
    """
    with transaction.atomic():
        named = {"name": metric, **unit}
        if named["name"] != metric:
            named["source_metric"] = metric
        created = create_unit(tenant=tenant, actor=actor, now=now, **named)
        decision = letter_decisions.decide(
            tenant=tenant,
            act=LetterDecision.Act.REPLAY,
            chosen=Chosen(code=CODE, metric=metric),
            actor=actor,
            now=now,
            reason=reason or f"billable unit '{created}' created",
        )
    return UnitAndReplay(created, letter_decisions.begin(decision, now=now))
