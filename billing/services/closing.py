"""Closing periods by the clock: what has ended and settled is billed without being asked for.

So are the first fees in advance when their period has begun, after the same delay: a window that
reached further would close what has not settled.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, QuerySet

from aforo.errors import Conflict
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun, BillRunItem
from billing.selectors.periods import adjustable_periods, openable_periods, unbilled_periods
from billing.services.bill_runs import create_run, execute_run
from catalog.models import SubscriptionPeriod

log = structlog.get_logger(__name__)

TRY_AGAIN = timedelta(hours=1)  # a period that cannot be billed is not tried every minute
_INSTANT = timedelta(microseconds=1)  # windows are open at their start


def close_periods(*, now: datetime) -> int:
    """Start a run for each tenant that has something to bill past its settlement delay, or to open.

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
    due = [
        moment
        for periods, column in (
            (unbilled_periods(tenant_id=tenant.id, until=settled_until), "end_at"),
            (
                adjustable_periods(tenant_id=tenant.id, until=settled_until, deferred=False),
                "end_at",
            ),
            (openable_periods(tenant_id=tenant.id, until=settled_until), "start_at"),
        )
        for moment in _span(periods.filter(~Exists(failed)), column)
    ]
    if not due:
        return False
    try:
        run = _start(tenant, min(due) - _INSTANT, max(due), now)
    except Conflict:
        log.info("closing_waits_for_another_run", tenant=str(tenant.id))
        return False
    log.info("closing_periods", tenant=str(tenant.id), run=str(run.id))
    return True


def _span(periods: QuerySet[SubscriptionPeriod], column: str) -> list[datetime]:
    """The first and the last of their ends, or starts; none when nothing is due."""
    span = periods.aggregate(first=Min(column), last=Max(column))
    return [moment for moment in span.values() if moment is not None]


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
