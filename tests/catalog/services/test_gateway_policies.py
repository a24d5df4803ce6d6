"""Limits of keys, where gateways that count by themselves read them."""

import hashlib
import json
from datetime import timedelta

import pytest

from aforo import valkey
from aforo.tenancy.models import BlockedToken, TokenKey
from aforo.tenancy.tasks import keep_tokens
from catalog.models import SubscriptionKey
from catalog.services.gateway_policies import write_policies
from catalog.tasks import write_gateway_policies
from tests.factories import NOW, ApiKeyFactory, RatePlanVersionFactory, SubscriptionFactory
from tests.metering.conftest import redis_down

__all__ = ["redis_down"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_there():
    for name in valkey.client().scan_iter("ratelimit:policy:*"):
        valkey.client().delete(name)


def policies():
    return {name.decode() for name in valkey.client().scan_iter("ratelimit:policy:*")}


def test_limits_of_open_keys_are_there_for_ninety_seconds(django_assert_num_queries):
    version = RatePlanVersionFactory(published=True)
    subscription = SubscriptionFactory(tenant=version.tenant, versions=[version])
    key = ApiKeyFactory(tenant=subscription.tenant, rate_limit=600)
    SubscriptionKey.objects.create(tenant=key.tenant, subscription=subscription, key=key)
    own = ApiKeyFactory(tenant=subscription.tenant, rate_limit=5)
    ApiKeyFactory(tenant=subscription.tenant)
    ApiKeyFactory(tenant=subscription.tenant, rate_limit=7, revoked_at=NOW)
    ApiKeyFactory(tenant=subscription.tenant, rate_limit=7, kind="OPERATOR")
    with django_assert_num_queries(2):
        assert write_policies() == 2

    digests = [hashlib.sha256(one.secret.encode()).hexdigest() for one in (key, own)]
    tenants = (str(key.tenant_id), key.tenant.slug)
    names = {f"ratelimit:policy:{tenant}:{one}" for tenant in tenants for one in digests}
    assert policies() == names
    assert all(80 < valkey.client().ttl(name) <= 90 for name in names)
    said = valkey.client().get(f"ratelimit:policy:{key.tenant.slug}:{digests[0]}")
    assert json.loads(said) == {
        "enforcementMode": "HARD",
        "policyName": f"limit of key {key}",
        "ratePlanId": str(version.rate_plan_id),
        "scope": "PER_KEY",
        "tiers": [{"windowSeconds": 60, "maxRequests": 600, "burstCapacity": 600}],
        "maxRpm": 600,
        "maxRph": 36000,
    }
    said = valkey.client().get(f"ratelimit:policy:{key.tenant_id}:{digests[1]}")
    assert json.loads(said)["ratePlanId"] is None


def test_without_redis_the_sweeps_wait_for_the_next_time(redis_down):
    key = ApiKeyFactory(rate_limit=5)
    fields = {"until": NOW + timedelta(days=36_500), "created_at": NOW}
    BlockedToken.objects.create(tenant=key.tenant, **fields)
    assert (write_gateway_policies(), keep_tokens()) == (0, 0)
    assert TokenKey.objects.count() == 1
