"""Syncs repair: whatever was killed, came late, was flushed or went wrong with another tenant."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from redis.exceptions import RedisError

from aforo import valkey
from aforo.errors import Unavailable
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import entry_of, mark_revoked, revoke_key
from catalog.models import Subscription
from metering.entitlements import guarded as guarded_fields
from metering.entitlements import publishing, state
from metering.models import MarginGuard, MarginState
from tests.factories import CustomerAliasFactory, TenantFactory
from tests.metering.conftest import NOW, subscribe

pytestmark = pytest.mark.django_db
BODY = {"customerId": "cust_1", "featureKey": "calls"}


def flush(tenant):
    for key in valkey.client().scan_iter(f"access*{tenant.pk}*"):
        valkey.client().delete(key)


def test_a_page_that_was_read_before_a_change_takes_no_name_back(seller, gateway):
    tenant = Tenant.objects.get(pk=seller.tenant.pk)
    first = Subscription.objects.get(tenant=tenant).customer
    second = subscribe(tenant, "cust_2").customer
    alias = CustomerAliasFactory(tenant=tenant, customer=first, label="app")
    names = state.names_key(tenant.pk)
    gateway.sync()
    stale = publishing._built(tenant, ["cust_1", "cust_2"], now=NOW)
    alias.delete()
    CustomerAliasFactory(tenant=tenant, customer=second, label="app")
    publishing.publish_customers(tenant.pk, [second.pk], now=NOW)
    publishing.settling.settle(tenant.pk, stale)
    assert valkey.client().hget(names, alias.digest.hex()) == b"cust_2"
    gateway.sync()
    assert valkey.client().hget(names, alias.digest.hex()) == b"cust_2"


def guarded(tenant, level, name="cust_1"):
    customer = Subscription.objects.get(tenant=tenant, customer__external_id=name).customer
    guard = MarginGuard.objects.create(
        tenant=tenant, code=f"guard-{name}", created_at=NOW, retry_after=90
    )
    return MarginState.objects.create(
        tenant=tenant,
        guard=guard,
        customer=customer,
        level=level,
        reason="LOW_MARGIN",
        currency="EUR",
        revenue=10,
        cost=11,
        percent=-10,
        since=NOW,
        judged_at=NOW,
    )


def test_whoever_was_blocked_stays_so_when_redis_was_emptied(seller, gateway):
    row = guarded(seller.tenant, "L3_BLOCK")
    gateway.sync()
    flush(seller.tenant)
    gateway.sync()
    told = gateway.can_access("calls")
    assert (told["reason"], told["headers"]["Retry-After"]) == ("MARGIN_BLOCKED", "90")
    MarginState.objects.filter(pk=row.pk).update(level="NONE")  # what Redis has not heard of
    gateway.sync()
    assert gateway.can_access("calls")["allowed"]


def test_margins_in_a_version_of_another_server_are_replaced(seller, gateway):
    guarded(seller.tenant, "L3_BLOCK")
    key = state.key_of(seller.tenant.pk, "cust_1")
    top = "9007199254740991:9007199254740991"
    for wrong in (f'{top} {{"level":"NONE"}}', f"{top} unreadable"):
        valkey.client().hset(key, "m", wrong)
        gateway.sync()
        assert gateway.can_access("calls")["reason"] == "MARGIN_BLOCKED"


def test_a_sync_keeps_the_numbers_of_whoever_is_in_order(seller, gateway):
    healthy = state.MarginState(percent=state.Decimal("71.5"), retry_after_seconds=60)
    state.put_margin(seller.tenant.pk, {"cust_1": healthy}, version=state.reading())
    gateway.sync()
    assert gateway.can_access("calls")["margin"] == {"level": "NONE", "percent": 71.5}


def test_a_block_that_commits_while_a_sync_reads_is_not_taken_back(seller, gateway, monkeypatch):
    gateway.sync()
    begun = state.reading()  # the look at margins has begun before the sync
    stored = guarded_fields.stored_answers

    def read(*about):
        rows = stored(*about)
        guarded(seller.tenant, "L3_BLOCK")
        told = state.MarginState(level="L3_BLOCK", retry_after_seconds=90)
        state.put_margin(seller.tenant.pk, {"cust_1": told}, version=begun)
        return rows

    monkeypatch.setattr(guarded_fields, "stored_answers", read)
    gateway.sync()
    assert gateway.can_access("calls")["reason"] == "MARGIN_BLOCKED"


@pytest.mark.parametrize("kind", [ValueError, OperationalError])
def test_what_goes_wrong_with_one_tenant_stops_no_other(seller, gateway, monkeypatch, kind):
    failing = TenantFactory()
    last = TenantFactory()
    synced, sync_tenant = [], publishing.sync_tenant

    def sync_some(tenant, **more):
        if tenant.pk == failing.pk:
            raise kind("a row that nobody can read")
        synced.append(tenant.pk)
        return sync_tenant(tenant, **more)

    monkeypatch.setattr(publishing, "sync_tenant", sync_some)
    with pytest.raises(ExceptionGroup) as raised:
        publishing.sync_all(now=NOW)
    assert [str(one) for one in raised.value.exceptions] == ["a row that nobody can read"]
    assert {seller.tenant.pk, last.pk} <= set(synced)
    assert valkey.client().get(publishing._LOCK) is None


def test_a_killed_sync_keeps_others_away_for_seconds_only(seller, monkeypatch):
    seen = []

    def killed(tenant, customers, *, now):
        seen.append(valkey.client().ttl(publishing._LOCK))
        valkey.client().expire(publishing._LOCK, 3)
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "_publish", killed)
    monkeypatch.setattr(publishing, "_UNLOCK", "return 0")
    with pytest.raises(KeyboardInterrupt):
        publishing.sync_all(now=NOW)
    assert seen[0] <= 20
    mine = valkey.client().get(publishing._LOCK).decode()
    monkeypatch.setattr(publishing, "_publish", lambda *_, **__: None)
    publishing.sync_tenant(seller.tenant, now=NOW, lock="another")
    assert valkey.client().ttl(publishing._LOCK) <= 3
    publishing.sync_tenant(seller.tenant, now=NOW, lock=mine)
    assert valkey.client().ttl(publishing._LOCK) > 3
    valkey.client().delete(publishing._LOCK)


@pytest.mark.parametrize("has_own_clock", [False, True])
def test_keys_revoked_while_redis_was_away_are_marked_by_the_next_sync(
    seller, gateway, settings, django_capture_on_commit_callbacks, has_own_clock
):
    gateway.sync()
    assert gateway.can_access("calls")["allowed"]  # there is an entry now
    if not has_own_clock:
        Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=None)
    key = ApiKey.objects.get(tenant=seller.tenant)
    url, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    valkey.client.cache_clear()
    with pytest.raises(Unavailable), django_capture_on_commit_callbacks(execute=True):
        revoke_key(key=key, actor=Actor.system("tests"), now=NOW)
    with pytest.raises(RedisError):
        mark_revoked(now=NOW)
    settings.REDIS_URL = url
    valkey.client.cache_clear()
    assert gateway.ask("/v1/canAccess", BODY).status_code == 200  # its entry outlived it
    assert mark_revoked(now=NOW + timedelta(minutes=1)) >= 1
    assert gateway.ask("/v1/canAccess", BODY).status_code == 401
    assert valkey.client().get(entry_of(bytes(key.digest))) == b"revoked"
