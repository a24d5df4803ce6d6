"""From the outbox to deliveries: one for each endpoint that wants to know, exactly once."""

import pytest

from aforo.errors import Refused
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.services.actors import Actor
from tests.factories import NOW, TenantFactory, WebhookEndpointFactory
from tests.threads import in_threads
from webhooks.models import OutboundDelivery
from webhooks.outbound import carrying
from webhooks.outbound.carrying import carry_page
from webhooks.outbound.pump import AT_ONCE
from webhooks.services import endpoints


def deliveries():
    return [(one.endpoint_id, one.message_id) for one in OutboundDelivery.objects.order_by("id")]


def test_each_subscribed_endpoint_of_the_tenant_gets_one(tenant, tell):
    every = WebhookEndpointFactory(tenant=tenant)
    this = WebhookEndpointFactory(tenant=tenant, facts=["dead_letter.threshold_reached"])
    WebhookEndpointFactory(tenant=tenant, facts=["invoice.finalized"])
    WebhookEndpointFactory(tenant=tenant, is_active=False)
    WebhookEndpointFactory()
    message = tell()
    tell(tenant=TenantFactory())  # nobody listens

    assert carry_page(now=NOW) == 2
    assert deliveries() == [(every.pk, message.pk), (this.pk, message.pk)]
    assert carry_page(now=NOW) == 0
    assert len(deliveries()) == 2
    assert not OutboxMessage.objects.filter(carried_at=None).exists()


def test_a_carrier_that_dies_leaves_the_message_as_it_was(tenant, tell, monkeypatch):
    WebhookEndpointFactory(tenant=tenant)
    tell()

    def dies(*args):
        raise RuntimeError("kill -9")

    with monkeypatch.context() as patched:
        patched.setattr(carrying, "_deliveries", dies)
        with pytest.raises(RuntimeError):
            carry_page(now=NOW)
    assert not deliveries()
    assert carry_page(now=NOW) == 1
    assert len(deliveries()) == 1


def test_a_page_ends_where_it_makes_many_deliveries(tenant, tell, monkeypatch):
    monkeypatch.setattr(carrying, "ROWS", 5)
    WebhookEndpointFactory.create_batch(2, tenant=tenant)
    for number in range(5):
        tell(number)
    assert [carry_page(now=NOW) for _ in range(4)] == [2, 2, 1, 0]
    assert len(deliveries()) == len(set(deliveries())) == 10
    monkeypatch.setattr(carrying, "ROWS", 1)
    tell()
    assert carry_page(now=NOW) == 1  # more than fits goes alone


def test_endpoints_of_one_tenant_leave_room_for_others(tenant, monkeypatch):
    assert endpoints.MOST_ENDPOINTS * 5 <= AT_ONCE
    monkeypatch.setattr(endpoints, "MOST_ENDPOINTS", 2)
    said = {"actor": Actor.system("tests"), "now": NOW, "format": "EMAIL", "url": "a@b.example"}
    WebhookEndpointFactory(tenant=tenant, is_active=False)
    WebhookEndpointFactory(tenant=tenant, is_active=False, archived_at=NOW)
    endpoints.create_endpoint(tenant=tenant, **said)
    with pytest.raises(Refused, match="at most 2 webhook endpoints"):
        endpoints.create_endpoint(tenant=tenant, **said)
    assert endpoints.create_endpoint(tenant=TenantFactory(), **said)


@pytest.mark.django_db(transaction=True)
def test_eight_who_carry_make_each_delivery_once(tell, tenant, monkeypatch):
    monkeypatch.setattr(carrying, "PAGE", 5)
    WebhookEndpointFactory.create_batch(2, tenant=tenant)
    for number in range(40):
        tell(number)

    def act(_):
        carried = 0
        while page := carry_page(now=NOW):
            carried += page
        return carried

    assert sum(in_threads(8, act)) == 40
    assert len(deliveries()) == len(set(deliveries())) == 80
