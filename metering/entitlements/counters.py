"""What drains tell access checks after their commit: how much of each limited unit is used.

Absolute values in the version of the total, so that a late or repeated call does no harm. Of a
drain that limits nobody, this costs a look at each of its totals.
"""

from collections import defaultdict
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from aforo.money import plain
from metering.entitlements import state
from metering.entitlements.standing import use_field, written_use
from metering.entitlements.state import Field, Version
from metering.ingest.rating import Locked
from metering.ingest.targets import Target

log = structlog.get_logger(__name__)


def tell(locked: Locked) -> None:
    """Write the totals of limited units as they were committed; a sync repairs what is missed."""
    limited = [target for target in locked.groups if target.is_limited]
    if not limited:  # nearly always
        return
    started = state.reading().started
    told: defaultdict[UUID, dict[str, list[Field]]] = defaultdict(dict)
    for target in limited:
        own = told[target.tenant_id].setdefault(target.customer, [])
        own.append(_field(target, locked, started))
    try:
        for tenant_id, fields in told.items():
            state.put(tenant_id, fields)
    except RedisError as error:
        log.warning("access_counters_missed_a_drain", error=str(error))


def _field(target: Target, locked: Locked, started: int) -> Field:
    total = locked.totals[locked.total_ids[target]]
    return Field(
        use_field(target.period_id.hex, total.id),
        Version(started, total.position),
        written_use(target.unit.unit_id.hex, plain(total.quantity), plain(total.rollover)),
    )
