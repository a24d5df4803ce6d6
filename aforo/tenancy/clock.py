"""What time it is for a tenant: everybody's time, or a sandbox's own."""

from datetime import datetime

from django.utils import timezone

from aforo.tenancy.models import Tenant

# The same in SQL, for statements that must not ask twice; `t` is the row of `tenants`.
NOW_SQL = "coalesce(t.clock_frozen_at, clock_timestamp() + t.clock_offset)"


def now(tenant: Tenant) -> datetime:
    """Now on the clock of `tenant`, as its row was read."""
    return at(tenant, timezone.now())


def at(tenant: Tenant, now: datetime) -> datetime:
    """What the clock of `tenant` shows when everybody's shows `now`."""
    return tenant.clock_frozen_at or now + tenant.clock_offset
