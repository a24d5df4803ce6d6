"""Who may listen to the stream: keys, and tickets as long as whoever got them still may."""

import pytest
import time_machine
from django.utils import timezone

from aforo.errors import Forbidden, Unauthenticated
from aforo.tenancy.models import ApiKey, Member
from metering.stream.access import Access, by_key, by_ticket, still_open, ticket_for
from tests.factories import (
    ApiKeyFactory,
    MemberFactory,
    OperatorKeyFactory,
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
