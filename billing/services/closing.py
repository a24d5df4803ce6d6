"""Closing periods by the clock: what has ended and settled is billed without being asked for."""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, QuerySet

from aforo.errors import Conflict
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, BillRunItem
from billing.selectors.periods import adjustable_periods, unbilled_periods
from billing.services.bill_runs import create_run, execute_run
from catalog.models import SubscriptionPeriod

log = structlog.get_logger(__name__)

TRY_AGAIN = timedelta(hours=1)  # a period that cannot be billed is not tried every minute
_INSTANT = timedelta(microseconds=1)  # windows are open at their start


def close_periods(*, now: datetime) -> int:
    """Start a run for each tenant that has something to bill past its settlement delay.

    The number of runs started: none when nothing is due, or when a run that is not finished
    stands in the way.
    """
    tenants = Tenant.objects.order_by("id")
    return sum(_close_periods_of(tenant, now) for tenant in tenants)


def _close_periods_of(tenant: Tenant, now: datetime) -> bool:
    settled_until = clock.at(tenant, now) - tenant.settlement_delay
    failed = BillRunItem.objects.for_tenant(tenant).filter(
        period=OuterRef("pk"),
        status=BillRunItem.Status.FAILED,
        run__created_at__gt=now - TRY_AGAIN,
    )
    ends = [
        end
        for periods in (
            unbilled_periods(tenant_id=tenant.id, until=settled_until),
            adjustable_periods(tenant_id=tenant.id, until=settled_until, deferred=False),
        )
        for end in _ends(periods.filter(~Exists(failed)))
    ]
    if not ends:
        return False
    try:
        run = _start(tenant, min(ends) - _INSTANT, max(ends), now)
    except Conflict:
        log.info("closing_waits_for_another_run", tenant=str(tenant.id))
        return False
    log.info("closing_periods", tenant=str(tenant.id), run=str(run.id))
    return True


def _ends(periods: QuerySet[SubscriptionPeriod]) -> list[datetime]:
    """The first and the last of their ends; none when nothing is due."""
    ends = periods.aggregate(first=Min("end_at"), last=Max("end_at"))
    return [end for end in ends.values() if end is not None]


@transaction.atomic
def _start(tenant: Tenant, window_start: datetime, window_end: datetime, now: datetime) -> BillRun:
    actor = Actor.system("close_periods")
    run = create_run(
        tenant=tenant,
        window_start=window_start,
        window_end=window_end,
        label=f"Close of {window_end:%Y-%m-%d}",
        auto_finalize=True,
        actor=actor,
        now=now,
    )
    return execute_run(run=run, actor=actor, now=now)
