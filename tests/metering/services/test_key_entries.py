"""Entries of keys and tenants, for processes that have no PostgreSQL."""

from hashlib import sha256

import pytest

from aforo import valkey
from aforo.tenancy.key_entries import ENTRIES_WHOLE, REVOKED, TENANTS, entry_of
from aforo.tenancy.models import ApiKey
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import revoke_key
from catalog.models import Subscription
from catalog.services.subscription_keys import issue_subscription_key
from metering.entitlements import reading
from metering.services import key_entries
from tests.metering.conftest import NOW, TOKEN

pytestmark = pytest.mark.django_db


def entry(text):
    return valkey.client().get(entry_of(sha256(text.encode()).digest()))


def test_every_open_key_and_every_tenant_can_be_found_without_postgresql(
    seller, django_capture_on_commit_callbacks
):
    tenant, subscription = seller.tenant, Subscription.objects.get()
    actor = Actor.system("test")
    about = {"subscription": subscription, "actor": actor, "now": NOW}
    bound, text = issue_subscription_key(name="of a customer", **about)
    _, revoked = issue_subscription_key(name="not any more", **about)
    key_entries.publish_entries()
    assert reading.asking_in(entry(revoked)).customer == "cust_1"

    with django_capture_on_commit_callbacks(execute=True):
        revoke_key(key=ApiKey.objects.get(name="not any more"), actor=actor, now=NOW)
    assert entry(revoked) == REVOKED
    assert key_entries.publish_entries() == 2
    assert entry(revoked) == REVOKED

    own = reading.asking_in(entry(text))
    assert (own.tenant_id, own.slug, own.key_id) == (tenant.pk, tenant.slug, bound.key_id)
    assert (own.customer, own.fallback) == ("cust_1", "OPEN")
    assert reading.asking_in(entry(TOKEN)).customer == ""
    assert valkey.client().exists(ENTRIES_WHOLE)
    for name in (tenant.slug, str(tenant.pk)):
        found = reading.asking_in(valkey.client().hget(TENANTS, name))
        assert (found.tenant_id, found.slug, found.key_id) == (tenant.pk, tenant.slug, None)


def test_a_mark_that_was_left_meanwhile_stays(seller):
    digest = sha256(TOKEN.encode()).digest()
    valkey.client().set(entry_of(digest), REVOKED)  # its row was read before it was revoked
    assert key_entries.publish_entries() == 1
    assert entry(TOKEN) == REVOKED
