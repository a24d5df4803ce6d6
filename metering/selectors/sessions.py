"""Sessions by state; the state follows from the times, on the tenant's clock."""

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from aforo.tenancy.models import Tenant, TenantQuerySet
from metering.models import Session
from metering.models.sessions import idle_after


def sessions(*, tenant: Tenant) -> TenantQuerySet:
    """The tenant's sessions, those seen last first."""
    return Session.objects.for_tenant(tenant)


def in_state(rows: QuerySet[Any], state: str, now: datetime) -> QuerySet[Any]:
    """Those of one tenant's `rows` that are in `state` when its clock shows `now`."""
    is_closed = Q(closed_at__isnull=False)
    is_idle = Q(last_seen_at__lte=now - idle_after())
    match state:
        case Session.State.CLOSED:
            return rows.filter(is_closed)
        case Session.State.IDLE:
            return rows.filter(~is_closed, is_idle)
        case Session.State.CREATED:
            return rows.filter(~is_closed, ~is_idle, calls=0)
        case _:
            return rows.filter(~is_closed, ~is_idle, calls__gt=0)
