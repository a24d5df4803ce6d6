"""A tenant with one customer on one plan, and a way to send and drain."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest
from django.db.models import F
from django.test import Client, override_settings

from aforo import valkey
from aforo.tenancy.key_entries import entry_of
from aforo.tenancy.models import Tenant
from catalog.models import RatePlanVersion
from metering.entitlements import looking
from metering.ingest import enrichment, known, wake
from metering.services.ingest import drain_once
from tests.factories import (
    ApiKeyFactory,
    BillableUnitFactory,
    CustomerFactory,
    RatePlanVersionFactory,
    SandboxFactory,
    SubscriptionFactory,
)

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
# Of each worker its own: what Redis tells of revoked keys is heard across all its databases.
TOKEN = "sk_test_" + os.environ.get("PYTEST_XDIST_WORKER", "").rjust(40, "k")
TIERS = [{"tierEnd": 1000, "unitPrice": "0.01"}, {"tierEnd": -1, "unitPrice": "0.005"}]


@dataclass
class Seller:
    tenant: object
    client: Client
    token: str = TOKEN

    def post(self, body, path="/v1/ingest/batch", **headers):
        """Send a body as it is, bytes or text."""
        return self.client.post(
            path,
            data=body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.token}", **headers},
        )

    def send(self, *events, **more):
        """Send events in one batch."""
        return self.post(msgspec.json.encode({"events": events}), **more)

    def drain(self, limit=20_000):
        """Drain until nothing waits; how many events left the inbox."""
        drained = 0
        while count := drain_once(shard=0, shards=1, now=NOW, limit=limit):
            drained += count
        return drained

    def count(self, *events):
        """Send events in one batch, expect that the door takes them, and drain."""
        answer = self.send(*events)
        assert answer.status_code in {202, 422}, answer.content
        self.drain()
        return answer


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """What a process remembers must not outlive the rows of a test."""
    known.forget_everything()
    looking.forget_everything()
    enrichment.forget_everything()
    monkeypatch.setattr(wake, "wake", wake.Waker().wake)


@pytest.fixture
def no_wakes(monkeypatch):
    """Nobody listens to wake-ups in tests: they would only fill the broker."""
    monkeypatch.setattr("metering.ingest.wake.ask_for_drain", lambda _: None)


@pytest.fixture
def seller(db, client, no_wakes):
    tenant = SandboxFactory(clock_frozen_at=NOW)
    key = ApiKeyFactory(tenant=tenant, secret=TOKEN)
    valkey.client().delete(entry_of(key.digest))  # of the test before
    calls = BillableUnitFactory(tenant=tenant, name="calls", aggregation="COUNT", unit_cost="0.001")
    tokens = BillableUnitFactory(tenant=tenant, name="tokens", aggregation="SUM")
    version = RatePlanVersionFactory(
        tenant=tenant,
        prices={
            calls: {"model": "PER_UNIT", "rate": "0.02"},
            tokens: {"model": "GRADUATED", "tiers": TIERS},
        },
        published=True,
    )
    subscribe(tenant, "cust_1", version)
    return Seller(tenant, client)


def subscribe(tenant, name, version=None, **fields):
    """A customer of this name, subscribed from 1 March to a version, else to the tenant's only."""
    version = version or RatePlanVersion.objects.get(tenant=tenant)
    customer = CustomerFactory(tenant=tenant, external_id=name)
    more = {"tenant": tenant, "customer": customer, "versions": [version], "months": 2}
    subscription = SubscriptionFactory(**more | fields)
    catalog_changed(tenant)
    return subscription


def catalog_changed(tenant):
    """What every service of the catalog does: caches are told."""
    Tenant.objects.filter(pk=tenant.pk).update(catalog_version=F("catalog_version") + 1)


@pytest.fixture
def redis_down():
    """Redis as a port at which nobody listens."""
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        valkey.client.cache_clear()
        yield
    valkey.client.cache_clear()
