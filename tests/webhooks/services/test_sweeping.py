"""Pushes whose message was lost are found; two workers never map one push."""

import pytest
from django.utils import timezone

from metering.models import InboxBatch
from tests.factories import WebhookDeliveryFactory, WebhookSourceFactory
from tests.threads import in_threads
from tests.webhooks.conftest import Sender
from webhooks.models import WebhookDelivery
from webhooks.services.counting import map_delivery
from webhooks.services.sweeping import PATIENCE, ask_again

PAYLOAD = {"customerId": "cust_1", "metricName": "calls", "quantity": 1, "id": "1"}


def test_what_waits_too_long_is_asked_for_again(seller, asked_for):
    now = timezone.now()
    source = WebhookSourceFactory(tenant=seller.tenant)
    late, early = (
        WebhookDeliveryFactory(
            tenant=seller.tenant, source=source, verdict=verdict, arrived_at=now - PATIENCE * 2
        )
        for verdict in ("RECEIVED", "ACCEPTED")
    )
    WebhookDeliveryFactory(tenant=seller.tenant, source=source, verdict="RECEIVED", arrived_at=now)
    assert ask_again(now=now) == 1
    assert asked_for == [str(late.pk)]
    assert early.verdict == "ACCEPTED"


def test_mapping_fails_as_a_whole_or_not_at_all(seller, monkeypatch):
    sender = Sender(WebhookSourceFactory(tenant=seller.tenant), seller.client)
    sender.push(PAYLOAD)
    delivery = WebhookDelivery.objects.get()

    def broken(*args, **kwargs):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("webhooks.services.counting._judge", broken)
        with pytest.raises(RuntimeError):
            map_delivery(delivery_id=delivery.pk, now=timezone.now())
    assert not InboxBatch.objects.exists()
    assert map_delivery(delivery_id=delivery.pk, now=timezone.now()) == "ACCEPTED"
    assert map_delivery(delivery_id=delivery.pk, now=timezone.now()) is None
    assert InboxBatch.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_workers_map_one_push_once(seller):
    sender = Sender(WebhookSourceFactory(tenant=seller.tenant), seller.client)
    sender.push(PAYLOAD)
    delivery_id, now = WebhookDelivery.objects.get().pk, timezone.now()
    done = in_threads(8, lambda _: map_delivery(delivery_id=delivery_id, now=now))
    assert sorted(filter(None, done)) == ["ACCEPTED"]
    assert InboxBatch.objects.count() == 1
