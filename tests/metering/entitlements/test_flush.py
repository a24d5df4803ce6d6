"""Redis is emptied while gateways ask and usage is counted: nobody hears anything untrue."""

import threading
import time
from contextlib import contextmanager

import pytest
from django.db import connections
from django.test import Client

from aforo import valkey
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.services.keys import entry_of
from catalog.models import BillableUnit, RatePlan
from metering.entitlements import drift, publishing
from tests.metering.conftest import NOW
from tests.metering.entitlements.conftest import Gateway, feature_of
from tests.metering.events import event

ASKERS = 4
LIMIT = 1_000
# At once, as a flush is; other tests go on with what is theirs.
_EMPTY = """
for _, key in ipairs(redis.call('KEYS', 'access*' .. ARGV[1] .. '*')) do redis.call('DEL', key) end
redis.call('DEL', ARGV[2])
"""


class Askers:
    """Threads that ask without end, and what they heard, in order."""

    def __init__(self, tenant):
        self.heard = [[] for _ in range(ASKERS)]
        self.is_over = threading.Event()
        self._tenant = tenant
        self._threads = [threading.Thread(target=self._ask, args=(own,)) for own in self.heard]

    def _ask(self, own):
        gateway = Gateway(Client(), self._tenant)
        while not self.is_over.is_set():
            own.append(gateway.can_access("api"))
        connections.close_all()

    @contextmanager
    def asking(self):
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self.is_over.set()
            for thread in self._threads:
                thread.join()

    def hear(self):
        """Wait until each has asked and heard once more; how many answers each had before."""
        before = [len(own) for own in self.heard]
        deadline = time.monotonic() + 20
        while any(len(own) < count + 2 for own, count in zip(self.heard, before, strict=True)):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fallback", ["OPEN", "CLOSED"])
def test_emptied_under_load_answers_fail_as_configured_until_one_sync(seller, gateway, fallback):
    Tenant.objects.filter(pk=seller.tenant.pk).update(access_fallback=fallback)
    calls = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    plan = RatePlan.objects.get(tenant=seller.tenant)
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=LIMIT)
    gateway.sync()
    key = ApiKey.objects.get(tenant=seller.tenant)
    askers = Askers(seller.tenant)
    with askers.asking():
        askers.hear()
        count(seller, 3)
        askers.hear()
        empty = valkey.client().register_script(_EMPTY)
        empty(args=[str(seller.tenant.pk), entry_of(bytes(key.digest))])
        blind_from = askers.hear()
        count(seller, 3)  # a drain alone makes nothing whole
        blind_to = askers.hear()
        publishing.sync_tenant(Tenant.objects.get(pk=seller.tenant.pk), now=NOW)
        count(seller, 3)
        back_from = askers.hear()
    blind = (fallback == "OPEN", "UNAVAILABLE", None, fallback)
    for own, first, last, back in zip(askers.heard, blind_from, blind_to, back_from, strict=True):
        told = [(one["allowed"], one["reason"], one["quota"], one["fallback"]) for one in own]
        assert set(told) == {(True, "OK", LIMIT, None), blind}
        assert set(told[first + 1 : last]) == {blind}
        assert set(told[back + 1 :]) == {(True, "OK", LIMIT, None)}
        left = [one["remaining"] for one in own if one["remaining"] is not None]
        assert left == sorted(left, reverse=True)
        assert (left[0], left[-1]) == (LIMIT, LIMIT - 9)
    assert list(drift.drifted(Tenant.objects.get(pk=seller.tenant.pk), now=NOW)) == []


def count(seller, drains):
    for _ in range(drains):
        seller.count(event(idempotencyKey=str(time.perf_counter_ns())))
