"""The pages of ingestion and of live events: each tenant's own, for whoever may see it."""

import pytest
from django.urls import reverse
from django.utils import timezone

from metering.services.ingest import drain_once
from metering.stream.access import Access, by_ticket
from tests.factories import MemberFactory, TenantFactory, UserFactory
from tests.metering.events import event

PAGES = ("metering_ingestion", "metering_live", "metering_live_ticket")


@pytest.fixture
def member(client, seller):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=seller.tenant, user=user, role="MEMBER")
    client.force_login(user)
    return user


def test_the_hour_is_on_the_page(client, seller, member):
    seller.send(event(1), event(2, customerId="nobody"))
    drain_once(shard=0, shards=1, now=timezone.now())

    page = client.get(reverse("metering_ingestion"))
    text = page.content.decode()
    assert page.status_code == 200
    assert "UNKNOWN_CUSTOMER" in text
    assert "/v1/ingest/batch" in text
    assert "50.00%" in text
    assert "calls" in text


def test_the_live_page_gets_a_ticket_for_the_tenant(client, seller, member):
    page = client.get(reverse("metering_live"))
    assert page.status_code == 200
    assert "EventSource" in page.content.decode()

    given = client.get(reverse("metering_live_ticket"), {"tenant": seller.tenant.slug})
    assert "no-store" in given["Cache-Control"]
    assert by_ticket(given.json()["ticket"]) == Access(seller.tenant.pk, user_id=member.pk)


@pytest.mark.parametrize("page", PAGES)
def test_another_tenant_is_absent(client, seller, member, page):
    theirs = TenantFactory()
    assert client.get(reverse(page), {"tenant": theirs.slug}).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_nobody_else_gets_in(client, db, page):
    assert client.get(reverse(page)).status_code == 302
    client.force_login(UserFactory(is_staff=True))
    assert client.get(reverse(page)).status_code == 403
