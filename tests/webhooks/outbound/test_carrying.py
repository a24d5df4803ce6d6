"""From the outbox to deliveries: one for each endpoint that wants to know, exactly once."""

import pytest

from aforo.outbox.models import OutboxMessage
from tests.factories import NOW, TenantFactory, WebhookEndpointFactory
from tests.threads import in_threads
from webhooks.models import OutboundDelivery
from webhooks.outbound import carrying
from webhooks.outbound.carrying import carry_page


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
