"""Writes to Redis what customers may do: after each change, and all of it every 30 seconds.

A write never takes the place of what a later reading has written. What Redis holds in a version
that is higher than PostgreSQL itself says is no later reading: it is read again and replaced.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from secrets import token_hex
from uuid import UUID

import structlog
from django.utils import timezone
from redis.commands.core import Script
from redis.exceptions import RedisError

from aforo import valkey
from aforo.queue import enqueue
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from catalog.aliases import digest_of
from catalog.models import Customer
from metering.entitlements import state
from metering.entitlements.building import Builder, Built
from metering.entitlements.state import Field, Refusal

PAGE = 500  # customers: about a megabyte of values, a tenth of a second
SYNC_SECONDS = 30.0
_LOCK = "access-sync"
_LOCK_SECONDS = 300
log = structlog.get_logger(__name__)

# Per customer: its hash and external id, the digests of its names as they are now, its periods.
# A name that has gone to somebody else meanwhile stays theirs.
_SETTLE = """
local names, at = KEYS[1], 1
for i = 2, #KEYS do
  local customer, digests, periods = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local before = redis.call('HGET', KEYS[i], 'n')
  if before and before ~= digests then
    for digest in string.gmatch(before, '%x+') do
      if not string.find(digests, digest, 1, true)
          and redis.call('HGET', names, digest) == customer then
        redis.call('HDEL', names, digest)
      end
    end
  end
  for digest in string.gmatch(digests, '%x+') do
    redis.call('HSET', names, digest, customer)
  end
  redis.call('HSET', KEYS[i], 'n', digests)
  for _, field in ipairs(redis.call('HKEYS', KEYS[i])) do
    local period = string.match(field, '^u:(%x+):')
    if period and not string.find(periods, period, 1, true) then
      redis.call('HDEL', KEYS[i], field)
    end
  end
end
"""
_WHOLE = """
if redis.call('HGET', KEYS[1], 'syncing') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'whole', ARGV[2])
end
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


def after_change(tenant_id: UUID, customer_ids: Collection[UUID] | None) -> None:
    """Publish customers whose access a commit may have changed; None: the worker does all of them.

    Without Redis nothing is published, and nothing fails: the sync makes up for it.
    """
    if customer_ids is None:
        enqueue("metering.sync_access", tenant_id=str(tenant_id))
        return
    try:
        publish_customers(tenant_id, customer_ids, now=timezone.now())
    except RedisError as error:
        log.warning("access_not_published", tenant=str(tenant_id), error=str(error))


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


def sync_tenant(tenant: Tenant, *, now: datetime) -> int:
    """Write everything of a tenant anew, and say that nothing is missing; how many customers.

    Unless Redis was emptied meanwhile: then the next sync says so.
    """
    mark, settings = token_hex(8), state.settings_key(tenant.pk)
    valkey.client().hset(settings, "syncing", mark)
    put_settings(tenant)
    count = 0
    for page in _pages(tenant.pk):
        _publish(tenant, page, now=now)
        count += len(page)
    _script(_WHOLE)(keys=[settings], args=[mark, now.timestamp()])
    return count


def sync_all(*, now: datetime) -> int:
    """Sync every tenant, unless another worker is at it; how many customers."""
    mine = token_hex(8)
    if not valkey.client().set(_LOCK, mine, nx=True, ex=_LOCK_SECONDS):
        return 0
    try:
        return sum(sync_tenant(tenant, now=now) for tenant in Tenant.objects.order_by("pk"))
    finally:
        _script(_UNLOCK)(keys=[_LOCK], args=[mine])


def sync(*, tenant_id: UUID | None, now: datetime) -> None:
    """Sync one tenant or all. Without Redis nothing can be done, until the next time."""
    try:
        if tenant_id is None:
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
    if refused:
        _insist(tenant, refused, now=now)
    _settle(tenant.pk, built)


def _built(tenant: Tenant, customers: Collection[str], *, now: datetime) -> dict[str, Built]:
    version = state.reading()
    return Builder(tenant.pk, now=clock.at(tenant, now)).build(customers, version)


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


def _settle(tenant_id: UUID, built: Mapping[str, Built]) -> None:
    """Learn the other names of customers, forget those they lost, and uses of periods gone by."""
    arguments: list[str] = []
    for name, one in built.items():
        own = digest_of(tenant_id, one.customer_id).hex()
        arguments += (name, ",".join((own, *one.digests)), ",".join(one.periods))
    keys = [state.names_key(tenant_id), *(state.key_of(tenant_id, name) for name in built)]
    _script(_SETTLE)(keys=keys, args=arguments)


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
