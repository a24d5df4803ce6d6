"""Quotas in Redis are those of the totals: told where they are not, and repaired by a sync."""

from decimal import Decimal

import pytest

from aforo import valkey
from aforo.tenancy.models import Tenant
from billing.invariants import broken_truths
from catalog.models import BillableUnit, RatePlan
from metering.entitlements import drift, state
from tests.factories import RatePlanVersionFactory
from tests.metering.conftest import NOW, catalog_changed, subscribe
from tests.metering.entitlements.conftest import feature_of, hash_of
from tests.metering.events import event

pytestmark = pytest.mark.django_db
TRUTH = "quotas that gateways go by are those of the totals"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(drift, "TELLING_SECONDS", 0.0)
    monkeypatch.setattr(drift, "MOST_LOOKS", 5)


@pytest.fixture
def used(seller, gateway):
    """Three calls of ten were counted; the field that says so."""
    plan = RatePlan.objects.get(tenant=seller.tenant)
    calls = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=10)
    seller.count(*(event(idempotencyKey=key) for key in "abc"))
    gateway.sync()
    (field,) = (name for name in hash_of(seller.tenant) if name.startswith(b"u:"))
    return field


def found(tenant):
    tenant = Tenant.objects.get(pk=tenant.pk)
    return [one[2:4] for one in drift.drifted(tenant, now=NOW)]


def test_a_tampered_quota_is_told_and_repaired_by_the_next_sync(seller, gateway, used):
    assert found(seller.tenant) == []
    key = state.key_of(seller.tenant.pk, "cust_1")
    right = hash_of(seller.tenant)[used]
    version = right.partition(b" ")[0].decode()
    for wrong, told in (
        (f"{version} 2 0", Decimal(2)),
        ("x y", None),
        (f"{version} 0 0", Decimal(0)),
    ):
        valkey.client().hset(key, used, wrong)
        assert found(seller.tenant) == [(Decimal(3), told)]
        (violation,) = broken_truths(tenant_id=seller.tenant.pk)[TRUTH]
        assert violation.found == f"{told} in Redis, 3 counted"
        gateway.sync()
        assert hash_of(seller.tenant)[used] == right
        assert TRUTH not in broken_truths(tenant_id=seller.tenant.pk)


def test_what_waits_in_the_inbox_is_all_that_redis_does_not_know(
    seller, gateway, used, django_capture_on_commit_callbacks
):
    seller.send(*(event(idempotencyKey=key) for key in "de"))
    assert gateway.quota("calls")["currentUsage"] == 3
    assert found(seller.tenant) == []
    with django_capture_on_commit_callbacks(execute=True):
        seller.drain()
    assert gateway.quota("calls")["currentUsage"] == 5
    assert found(seller.tenant) == []


@pytest.mark.parametrize("held", ["1:2 2 0", None])
def test_what_is_behind_has_until_a_sync_has_passed(seller, gateway, used, monkeypatch, held):
    key, pauses = state.key_of(seller.tenant.pk, "cust_1"), []

    def pause(_):
        pauses.append(1)
        if len(pauses) == 3:
            gateway.sync()

    def fall_behind():
        valkey.client().hset(key, used, held) if held else valkey.client().hdel(key, used)

    monkeypatch.setattr(drift.time, "sleep", pause)
    fall_behind()
    assert found(seller.tenant) == []
    assert len(pauses) == 3
    fall_behind()  # and no sync comes
    assert found(seller.tenant) == [(Decimal(3), Decimal(2 if held else 0))]


def test_nothing_is_said_of_what_no_sync_has_written_and_no_redis_is_no_proof(
    seller, gateway, used, settings
):
    valkey.client().hdel(state.key_of(seller.tenant.pk, "cust_1"), used)
    valkey.client().hdel(state.settings_key(seller.tenant.pk), "whole")
    assert found(seller.tenant) == []
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    valkey.client.cache_clear()
    told = broken_truths(tenant_id=seller.tenant.pk)[TRUTH]
    valkey.client.cache_clear()
    assert [one.subject for one in told] == ["Redis"]


def test_nothing_is_denied_in_a_trial_whatever_its_plan_includes(
    seller, gateway, django_capture_on_commit_callbacks
):
    calls = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    terms = {"model": "INCLUDED_QUOTA", "includedFree": "3", "ovBehavior": "BLOCK", "rate": "1"}
    version = RatePlanVersionFactory(tenant=seller.tenant, published=True, prices={calls: terms})
    trial, _ = (subscribe(seller.tenant, name, version) for name in ("trial", "paid"))
    trial.periods.update(kind="TRIAL")
    catalog_changed(seller.tenant)
    gateway.sync()
    for customer in ("trial", "paid"):
        with django_capture_on_commit_callbacks(execute=True):
            seller.count(*(event(f"{customer}-{n}", customerId=customer) for n in range(4)))

    def said():
        return [gateway.quota("calls", customer=name)["decision"] for name in ("trial", "paid")]

    before = said()
    gateway.sync()
    assert before == said() == ["ALLOW", "DENY"]
    assert found(seller.tenant) == []
