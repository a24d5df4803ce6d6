"""Live revenue as it was told a moment ago: many viewers of a large tenant ask for the same.

What is a little old is answered at once, and taken anew by a worker: nobody waits for it but the
first who asks.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.cache import cache
from redis import RedisError

from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from metering.selectors.revenue import MOST_GROUPS, LiveRevenue, live_revenue
from metering.selectors.revenue_groups import GroupBy

FRESH = timedelta(seconds=15)  # younger than this, nobody looks again
USABLE = timedelta(seconds=90)  # until then it is told while a worker looks: pages ask each minute
TASK = "metering.take_revenue"
_KEPT_SECONDS = 600
_ASKED_SECONDS = 30  # a look whose message was lost is asked for again


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, and when it was taken on the tenant's clock and on everybody's."""

    found: LiveRevenue
    at: datetime
    taken: float

    def is_within(self, age: timedelta, *, at: datetime) -> bool:
        """By both clocks: a sandbox that is set forward is looked at anew, a frozen one too."""
        own, everybodys = at - self.at, time.time() - self.taken
        return timedelta(0) <= own <= age and 0 <= everybodys <= age.total_seconds()


def revenue_told(
    *,
    tenant: Tenant,
    now: datetime,
    by: GroupBy,
    customer_id: UUID | None = None,
    most: int = MOST_GROUPS,
) -> LiveRevenue:
    """`live_revenue` of a moment ago, 90 seconds at most; without Redis always anew."""
    key = _key(tenant.pk, by, customer_id, most)
    at = clock.at(tenant, now)
    try:
        kept: _Kept | None = cache.get(key)
        if kept is not None and kept.is_within(USABLE, at=at):
            if not kept.is_within(FRESH, at=at) and cache.add(f"{key}:asked", 1, _ASKED_SECONDS):
                whom = None if customer_id is None else str(customer_id)
                enqueue(TASK, tenant_id=str(tenant.pk), by=by.value, most=most, customer_id=whom)
            return kept.found
    except RedisError:
        pass
    return take_revenue(tenant=tenant, now=now, by=by, customer_id=customer_id, most=most)


def take_revenue(
    *, tenant: Tenant, now: datetime, by: GroupBy, customer_id: UUID | None = None, most: int
) -> LiveRevenue:
    """Look, and keep what was found for whoever asks next."""
    found = live_revenue(tenant=tenant, now=now, by=by, customer_id=customer_id, most=most)
    kept = _Kept(found, clock.at(tenant, now), time.time())
    key = _key(tenant.pk, by, customer_id, most)
    try:
        cache.set(key, kept, _KEPT_SECONDS)
        cache.delete(f"{key}:asked")
    except RedisError:
        return found
    return found


def _key(tenant_id: UUID, by: GroupBy, customer_id: UUID | None, most: int) -> str:
    return f"live-revenue:{tenant_id}:{by.value}:{customer_id or ''}:{most}"
