"""What drains tell access checks after their commit: how much of each limited unit is used.

Absolute values in the version of the totals, so that a late or repeated call does no harm. Of a
drain that limits nobody, this costs a look at each of its totals.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from metering.entitlements import state
from metering.entitlements.state import Field
from metering.entitlements.uses import Pair, Use, uses_of
from metering.ingest.rating import Locked
from metering.ingest.targets import Target

log = structlog.get_logger(__name__)


def tell(locked: Locked) -> None:
    """Write what was committed of limited units; a sync repairs what is missed."""
    limited: defaultdict[Pair, list[Target]] = defaultdict(list)
    for target in locked.groups:
        if target.is_limited:
            limited[target.period_id, target.unit.unit_id].append(target)
    if not limited:  # nearly always
        return
    started = state.reading().started
    told: defaultdict[UUID, dict[str, list[Field]]] = defaultdict(dict)
    for use in _uses(limited, locked):
        target = limited[use.period_id, use.unit_id][0]
        own = told[target.tenant_id].setdefault(target.customer, [])
        own.append(use.field(target.unit.aggregation, started=started))
    try:
        for tenant_id, fields in told.items():
            state.put(tenant_id, fields)
    except RedisError as error:
        log.warning("access_counters_missed_a_drain", error=str(error))


def _uses(limited: Mapping[Pair, Sequence[Target]], locked: Locked) -> Iterable[Use]:
    """Of a unit with one total the drain knows it all; of others the database does."""
    several = []
    for pair, targets in limited.items():
        if len(targets) == 1 and not targets[0].dimension:
            total = locked.totals[locked.total_ids[targets[0]]]
            yield Use(*pair, total.quantity, total.quantity, total.rollover, total.position)
        else:
            several.append(pair)
    yield from uses_of(several)
