"""Background entry points of metering: fetch nothing, decide nothing, call one service."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from aforo.tenancy.models import Tenant
from metering.entitlements import publishing
from metering.ingest.unit_use import take_uses
from metering.monitors import summing, watch
from metering.selectors import revenue_kept
from metering.selectors.revenue_groups import GroupBy
from metering.services import (
    activity,
    drafted_units,
    ingest,
    key_entries,
    letter_decisions,
    letter_policies,
    margins,
    partitions,
    retention,
    sessions,
    upload_reading,
    uploads,
)

HEALS = (OperationalError, InterfaceError)  # deadlock or lost connection; bugs must surface
RETIRING_SECONDS = 6 * 3600  # writing ten million rows as Parquet takes some minutes


@shared_task(name="metering.drain_inbox", autoretry_for=HEALS, retry_backoff=True, max_retries=5)
def drain_inbox(shard: int) -> None:
    """May run twice: rows are claimed under a lock and leave in the same transaction."""
    ingest.drain_shard(shard=shard, now=timezone.now())


@shared_task(name="metering.sweep_inbox", expires=10)
def sweep_inbox() -> None:
    """May run twice: it only asks."""
    ingest.sweep_inbox()


@shared_task(name="metering.close_sessions", autoretry_for=HEALS, retry_backoff=True, expires=60)
def close_sessions() -> None:
    """May run twice: a session is closed once, and summed up once."""
    sessions.close_silent()
    sessions.sum_up_all(now=timezone.now())


@shared_task(name="metering.carry_out_letter_decisions", autoretry_for=HEALS, expires=60)
def carry_out_letter_decisions() -> None:
    """May run twice: a page of letters is closed under locks in the transaction that sends it."""
    letter_decisions.carry_out_all(now=timezone.now())


@shared_task(name="metering.draft_units", autoretry_for=HEALS, expires=60)
def draft_units() -> None:
    """May run twice: a name that has a unit gets no other."""
    drafted_units.draft_units(now=timezone.now())


@shared_task(name="metering.tell_letter_thresholds", autoretry_for=HEALS, expires=60)
def tell_letter_thresholds() -> None:
    """May run twice: the row of an alarm says that it was told."""
    letter_policies.tell_thresholds(now=timezone.now())


@shared_task(name="metering.expire_dead_letters", autoretry_for=HEALS, retry_backoff=True)
def expire_dead_letters() -> None:
    """May run twice: what has expired is no longer open."""
    letter_policies.expire_letters(now=timezone.now())


@shared_task(name="metering.sum_activity", autoretry_for=HEALS, retry_backoff=True, expires=60)
def sum_activity() -> None:
    """May run twice: a slice is made once, and an older use never replaces a newer one."""
    activity.slice_receipts(now=timezone.now())
    activity.write_unit_uses(take_uses())


@shared_task(
    name="metering.retire_old_months",
    soft_time_limit=RETIRING_SECONDS,
    time_limit=RETIRING_SECONDS + 300,
)
def retire_old_months() -> None:
    """May run twice: one at a time does it, and what has left is not there any more."""
    retention.retire_by_policy(now=timezone.now())


@shared_task(name="metering.make_partitions", autoretry_for=HEALS, retry_backoff=True)
def make_partitions() -> None:
    """May run twice: a partition that is there is left alone."""
    partitions.make_for_all_clocks(now=timezone.now())


@shared_task(name="metering.read_upload", autoretry_for=HEALS, retry_backoff=True, max_retries=5)
def read_upload(upload_id: str) -> None:
    """May run twice: each chunk of rows looks under a lock how far the file was read."""
    upload_reading.read_on(upload_id=UUID(upload_id), clock=timezone.now)


@shared_task(name="metering.sweep_uploads", expires=10)
def sweep_uploads() -> None:
    """May run twice: it only asks, and deletes what is a day old."""
    uploads.sweep(now=timezone.now())


@shared_task(name="metering.evaluate_margins", autoretry_for=HEALS, expires=30)
def evaluate_margins(tenant_id: str | None = None, *, everybody: bool = False) -> None:
    """May run twice: one at a time per tenant, and a crossing is told once."""
    if tenant_id is None:
        margins.evaluate_all(now=timezone.now())
    elif everybody:
        margins.evaluate_tenant(tenant_id=UUID(tenant_id), now=timezone.now())
    else:
        margins.evaluate_due(tenant_id=UUID(tenant_id), now=timezone.now())


@shared_task(name="metering.take_revenue", autoretry_for=HEALS, max_retries=1, expires=30)
def take_revenue(tenant_id: str, by: str, most: int, customer_id: str | None = None) -> None:
    """May run twice: it looks, and keeps what it found for a while."""
    revenue_kept.take_revenue(
        tenant=Tenant.objects.get(pk=tenant_id),
        now=timezone.now(),
        by=GroupBy(by),
        customer_id=UUID(customer_id) if customer_id else None,
        most=most,
    )


@shared_task(name="metering.sum_usage", autoretry_for=HEALS, retry_backoff=True, expires=30)
def sum_usage() -> None:
    """May run twice: a page of events is passed under a lock."""
    summing.sum_usage()


@shared_task(name="metering.forget_old_sums", autoretry_for=HEALS, retry_backoff=True)
def forget_old_sums() -> None:
    """May run twice: what is gone is gone."""
    summing.forget_old_sums(now=timezone.now())


@shared_task(name="metering.watch_usage", autoretry_for=HEALS, expires=120)
def watch_usage() -> None:
    """May run twice: it only asks, once events are summed up."""
    watch.ask_for_watching()


@shared_task(name="metering.watch_tenant", autoretry_for=HEALS, retry_backoff=True, max_retries=3)
def watch_tenant(tenant_id: str) -> None:
    """May run twice: what was judged is noted under a lock."""
    watch.watch_tenant(tenant_id=UUID(tenant_id), now=timezone.now())


@shared_task(name="metering.sync_access", autoretry_for=HEALS, expires=60)
def sync_access(tenant_id: str | None = None) -> None:
    """May run twice: what was read later always wins. Without a tenant, of all of them."""
    if tenant_id is None:
        key_entries.publish_entries()
    publishing.sync(tenant_id=UUID(tenant_id) if tenant_id else None, now=timezone.now())
