"""Writes to Redis what customers may do: after each change, and all of it every 30 seconds.

A write never takes the place of what a later reading has written. What Redis holds in a version
that is higher than PostgreSQL itself says is no later reading: it is read again and replaced.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cache
from secrets import token_hex
from uuid import UUID

import structlog
from django.utils import timezone
from redis.commands.core import Script
from redis.exceptions import RedisError

from aforo import valkey
from aforo.postgres.faults import is_of_the_server
from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.keys import mark_revoked
from catalog.models import Customer
from metering.entitlements import settling, state
from metering.entitlements.building import Builder, Built
from metering.entitlements.guarded import margins_amiss
from metering.entitlements.settling import NAMES
from metering.entitlements.state import Field, Refusal

PAGE = 500  # customers: about a megabyte of values, a tenth of a second
SYNC_SECONDS = 30.0
_LOCK = "access-sync"
_LOCK_SECONDS = 20  # after each page it is held for so long again: a killed sync blocks no longer
log = structlog.get_logger(__name__)

_WHOLE = """
if redis.call('HGET', KEYS[1], 'syncing') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'whole', ARGV[2])
end
"""
_HOLD = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('EXPIRE', KEYS[1], ARGV[2]) end"
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


def after_change(tenant_id: UUID, customer_ids: Collection[UUID] | None) -> bool:
    """Publish customers whose access a commit may have changed; None: the worker does all of them.

    Without Redis nothing is published, and nothing fails: the sync makes up for it. Returns whether
    what was asked for is done.
    """
    if customer_ids is None:
        enqueue("metering.sync_access", tenant_id=str(tenant_id))
        return True
    try:
        publish_customers(tenant_id, customer_ids, now=timezone.now())
    except RedisError as error:
        log.warning("access_not_published", tenant=str(tenant_id), error=str(error))
        return False
    return True


def after_clock(tenant_id: UUID) -> None:
    """The clock of a sandbox was moved: access checks see it at once, new periods soon."""
    try:
        put_settings(Tenant.objects.get(pk=tenant_id))
    except RedisError as error:
        log.warning("access_not_published", tenant=str(tenant_id), error=str(error))
    after_change(tenant_id, None)


def publish_customers(tenant_id: UUID, customer_ids: Collection[UUID], *, now: datetime) -> None:
    """Bring what Redis knows of these customers up to date; `now` is everybody's time."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:  # told of by a transaction that was rolled back
        return
    put_settings(tenant)
    rows = Customer.objects.for_tenant(tenant_id).filter(pk__in=customer_ids)
    _publish(tenant, list(rows.values_list("external_id", flat=True)), now=now)


def put_settings(tenant: Tenant) -> None:
    """What access checks must know of a tenant itself: its clock, and what to answer when blind."""
    frozen = tenant.clock_frozen_at
    settings: dict[str, str | float] = {
        "fallback": tenant.access_fallback,
        "frozen": frozen.timestamp() if frozen else "",
        "offset": tenant.clock_offset.total_seconds(),
    }
    valkey.client().hset(state.settings_key(tenant.pk), mapping=settings)  # type: ignore[arg-type]


def sync_tenant(tenant: Tenant, *, now: datetime, lock: str = "") -> int:
    """Write everything of a tenant anew, and say that nothing is missing; how many customers.

    Unless Redis was emptied meanwhile: then the next sync says so. `lock` is held on to.
    """
    mark, settings = token_hex(8), state.settings_key(tenant.pk)
    valkey.client().hset(settings, "syncing", mark)
    put_settings(tenant)
    count = 0
    for page in _pages(tenant.pk):
        _publish(tenant, page, now=now)
        count += len(page)
        if lock:
            _script(_HOLD)(keys=[_LOCK], args=[lock, _LOCK_SECONDS])
    _script(_WHOLE)(keys=[settings], args=[mark, now.timestamp()])
    return count


def sync_all(*, now: datetime) -> int:
    """Sync every tenant, unless another worker is at it; how many customers.

    What goes wrong with one tenant is raised when the others are done.
    """
    mine = token_hex(8)
    if not valkey.client().set(_LOCK, mine, nx=True, ex=_LOCK_SECONDS):
        return 0
    count, errors = 0, []
    try:
        for tenant in Tenant.objects.order_by("pk"):
            try:
                count += sync_tenant(tenant, now=now, lock=mine)
            except Exception as error:
                if isinstance(error, RedisError) or is_of_the_server(error):
                    raise
                log.exception("access_of_tenant_not_synced", tenant=str(tenant.pk))
                errors.append(error)
    finally:
        _script(_UNLOCK)(keys=[_LOCK], args=[mine])
    if errors:
        raise ExceptionGroup("access of some tenants is not synced", errors)
    return count


def sync(*, tenant_id: UUID | None, now: datetime) -> None:
    """Sync one tenant or all. Without Redis nothing can be done, until the next time."""
    try:
        if tenant_id is None:
            mark_revoked(now=timezone.now())
            sync_all(now=now)
        else:
            sync_tenant(Tenant.objects.get(pk=tenant_id), now=now)
    except RedisError as error:
        log.warning("access_not_synced", error=str(error))


def _publish(tenant: Tenant, customers: Sequence[str], *, now: datetime) -> None:
    if not customers:
        return
    built = _built(tenant, customers, now=now)
    refused = state.put(tenant.pk, {name: one.fields for name, one in built.items()})
    refused += settling.settle(tenant.pk, built)
    if refused:
        _insist(tenant, refused, now=now)


def _built(tenant: Tenant, customers: Collection[str], *, now: datetime) -> dict[str, Built]:
    version = state.reading()
    built = Builder(tenant.pk, now=clock.at(tenant, now)).build(customers, version)
    for name, field in margins_amiss(tenant.pk, built.keys(), version).items():
        built[name].fields.append(field)
    return built


def _insist(tenant: Tenant, refused: Sequence[Refusal], *, now: datetime) -> None:
    """Read again: what Redis still holds in a higher version was never written by us."""
    again = _built(tenant, {one.customer for one in refused}, now=now)
    found = {(one.customer, one.field): one.version for one in refused}
    fields: dict[str, list[Field]] = {
        name: [
            field._replace(but=found[name, field.name])
            for field in one.fields
            if (name, field.name) in found
        ]
        for name, one in again.items()
    }
    state.put(tenant.pk, fields)
    unsettled = {name: found[name, NAMES] for name in again if (name, NAMES) in found}
    settling.settle(tenant.pk, {name: again[name] for name in unsettled}, but=unsettled)


def _pages(tenant_id: UUID) -> Iterator[list[str]]:
    rows = Customer.objects.for_tenant(tenant_id).order_by("external_id")
    after = ""
    while True:
        named = rows.filter(external_id__gt=after).values_list("external_id", flat=True)
        page = list(named[:PAGE])
        if not page:
            return
        yield page
        after = page[-1]


@cache
def _script(text: str) -> Script:
    return valkey.client().register_script(text)
