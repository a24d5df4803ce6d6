"""When each monitor looks: hour by hour and day by day, on the clock of each tenant."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction

from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from metering.models import MonitorProgress
from metering.monitors.anomalies import find_anomalies
from metering.monitors.drops import find_drops
from metering.monitors.health import take_health
from metering.monitors.pacing import find_paces
from metering.monitors.settings import settings_of
from metering.monitors.summing import SETTLED, is_behind, sum_usage

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOST_HOURS = 48  # judged at once, when nobody looked for longer or a clock was set forward
MOST_DAYS = 7


def ask_for_watching() -> None:
    """Ask for a look at each tenant, so that one that fails does not keep others unwatched."""
    sum_usage()
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        enqueue("metering.watch_tenant", tenant_id=str(tenant_id))


def watch_tenant(*, tenant_id: UUID, now: datetime) -> int:
    """Let the monitors of one tenant look at what has become due; alerts raised.

    `now` is everybody's clock. May run twice, at once: what was judged is noted under a lock.
    """
    tenant = Tenant.objects.get(pk=tenant_id)
    at = clock.at(tenant, now).astimezone(UTC)
    MonitorProgress.objects.get_or_create(tenant_id=tenant.pk)  # any tenant: its own
    raised = _judge_paces(tenant, at)
    _look_at_units(tenant, now, at)
    if not is_behind(tenant_id=tenant.pk, now=now, at=at):
        raised += _judge_hours(tenant, at) + _judge_weeks(tenant, at)
    return raised


@transaction.atomic
def _judge_hours(tenant: Tenant, at: datetime) -> int:
    progress = _locked(tenant)
    end = _whole_hour(at - SETTLED)
    hours = _steps(progress.anomalies_until, end, HOUR, MOST_HOURS)
    settings = settings_of(tenant)
    raised = sum(
        find_anomalies(tenant=tenant, settings=settings, hour=hour, now=at) for hour in hours
    )
    progress.anomalies_until = end
    progress.save(update_fields=["anomalies_until"])
    return raised


@transaction.atomic
def _judge_weeks(tenant: Tenant, at: datetime) -> int:
    progress = _locked(tenant)
    end = (at - SETTLED).replace(hour=0, minute=0, second=0, microsecond=0)
    days = _steps(progress.drops_until, end, DAY, MOST_DAYS)
    settings = settings_of(tenant)
    raised = sum(
        find_drops(tenant=tenant, settings=settings, end=day + DAY, now=at) for day in days
    )
    progress.drops_until = end
    progress.save(update_fields=["drops_until"])
    return raised


@transaction.atomic
def _judge_paces(tenant: Tenant, at: datetime) -> int:
    progress = _locked(tenant)
    if not _is_due(progress.paced_at, at):
        return 0
    progress.paced_at = at
    progress.save(update_fields=["paced_at"])
    return find_paces(tenant=tenant, settings=settings_of(tenant), now=at)


@transaction.atomic
def _look_at_units(tenant: Tenant, now: datetime, at: datetime) -> None:
    progress = _locked(tenant)
    if _is_due(progress.health_at, now):
        progress.health_at = now
        progress.save(update_fields=["health_at"])
        take_health(tenant=tenant, now=now, at=at)


def _locked(tenant: Tenant) -> MonitorProgress:
    rows = MonitorProgress.objects.select_for_update()  # any tenant: its own, by its id
    return rows.get(tenant_id=tenant.pk)


def _whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _is_due(done_at: datetime | None, now: datetime) -> bool:
    """Whether an hour has begun since; also when a clock was set back."""
    return done_at is None or _whole_hour(done_at) != _whole_hour(now)


def _steps(done: datetime | None, end: datetime, step: timedelta, most: int) -> list[datetime]:
    """The beginnings of what has ended since `done`, the latest ones; one when nothing was done."""
    since = end - step if done is None else max(done, end - most * step)
    return [since + number * step for number in range(max(0, (end - since) // step))]
