"""Who may listen to the stream: keys, and tickets as long as whoever got them still may."""

import asyncio
import re

import msgspec
import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from aforo.errors import Forbidden, Unauthenticated
from aforo.tenancy.models import ApiKey, Member
from aforo.tenancy.services.actors import Actor
from catalog.services.subscription_keys import issue_subscription_key
from metering.ingest.live import Notice, Shown
from metering.stream.access import Access, by_key, by_ticket, still_open, ticket_for
from metering.stream.hub import Hub, Listener
from tests.clients import client_with
from tests.factories import (
    ApiKeyFactory,
    MemberFactory,
    OperatorKeyFactory,
    SubscriptionFactory,
    TenantFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def bearer(key):
    return f"Bearer {key.secret}".encode()


def test_a_key_of_either_kind_opens_its_tenants_stream():
    for key in (ApiKeyFactory(), OperatorKeyFactory()):
        assert by_key(bearer(key), None) == Access(key.tenant_id, key_id=key.pk)
        assert by_key(bearer(key), key.tenant.slug).tenant_id == key.tenant_id
        with pytest.raises(Forbidden):
            by_key(bearer(key), "somebody-else")


def test_a_key_of_a_subscription_hears_of_its_customer_alone():
    bound, text = issue_subscription_key(
        subscription=SubscriptionFactory(months=1),
        name="its own",
        actor=Actor.system("test"),
        now=timezone.now(),
    )
    customer = bound.subscription.customer
    access = by_key(f"Bearer {text}".encode(), None)
    ticket = client_with(text).post("/api/v1/events/stream-tickets").json()["ticket"]
    assert by_ticket(ticket) == access
    assert access.names == (customer.external_id, str(customer.pk))
    for name in ("", *access.names):
        access.require_own(name)
    with pytest.raises(Forbidden):
        access.require_own("somebody-else")

    told = asyncio.run(heard(access, customer.external_id, "somebody-else", None))
    assert told == [customer.external_id.encode()]  # and no counts of the whole tenant
    everything = asyncio.run(heard(Access(access.tenant_id), "a", "b"))
    assert everything == [b"a", b"b", b"counts"]

    customer.external_id = "renamed"
    customer.save()
    assert still_open([access]) == set()


async def heard(access, *names):
    """What one listener is told of events under these names, and the word counts where it is."""
    listener = Listener(access)
    hub = Hub(settings.REDIS_URL, None, most_of_a_tenant=1)
    hub._listeners[access.tenant_id] = {listener}
    moment = timezone.now()
    shown = [Shown("ENRICHED", "b", 0, "API", moment, customerId=name) for name in names]
    hub.deliver(access.tenant_id, msgspec.json.encode(Notice({"ENRICHED": 9}, shown)))
    hub.deliver(access.tenant_id, msgspec.json.encode(Notice({"ENRICHED": 9}, [])))
    text = b"".join(listener.waiting.get_nowait() for _ in range(listener.waiting.qsize()))
    found = re.findall(rb'"customerId":"([^"]+)"', text)
    return found + [b"counts"] * (b"event: counts" in text)


def test_no_key_opens_nothing():
    for header in (b"", b"Bearer nonsense", b"Basic abc"):
        with pytest.raises(Unauthenticated):
            by_key(header, None)


def test_a_ticket_is_good_for_a_minute_and_cannot_be_forged():
    key = ApiKeyFactory()
    with time_machine.travel(0, tick=False) as clock:
        access = Access(key.tenant_id, key_id=key.pk)
        ticket = ticket_for(access)
        assert by_ticket(ticket) == access
        clock.shift(61)
        for bad in (ticket, ticket + "x", "", "a:b:c"):
            with pytest.raises(Unauthenticated):
                by_ticket(bad)


def test_a_ticket_of_a_revoked_key_opens_nothing():
    key = ApiKeyFactory()
    ticket = ticket_for(Access(key.tenant_id, key_id=key.pk))
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())  # any tenant: a test's own
    with pytest.raises(Unauthenticated):
        by_ticket(ticket)


def test_access_ends_with_the_key_the_membership_or_the_account():
    tenant = TenantFactory()
    key, member, root = (
        ApiKeyFactory(tenant=tenant),
        MemberFactory(),
        UserFactory(is_superuser=True),
    )
    by_a_key = Access(tenant.pk, key_id=key.pk)
    by_membership = Access(member.tenant_id, user_id=member.user_id)
    by_root = Access(tenant.pk, user_id=root.pk)
    elsewhere = Access(tenant.pk, user_id=member.user_id)
    everything = [by_a_key, by_membership, by_root, elsewhere]
    assert still_open(everything) == {by_a_key, by_membership, by_root}

    key.revoked_at = timezone.now()
    key.save()
    Member.objects.filter(pk=member.pk).delete()  # any tenant: a test's own
    root.is_active = False
    root.save()
    assert still_open(everything) == set()
