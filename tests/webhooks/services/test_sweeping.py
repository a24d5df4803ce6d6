"""Pushes whose message was lost are found; two workers never map one push."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from aforo.tenancy.services.actors import Actor
from metering.models import InboxBatch
from tests.factories import WebhookDeliveryFactory, WebhookSourceFactory
from tests.threads import in_threads
from tests.webhooks.conftest import Sender
from webhooks.models import WebhookDelivery
from webhooks.services.counting import map_delivery
from webhooks.services.replays import replay_delivery
from webhooks.services.sweeping import PATIENCE, ask_again
from webhooks.services.trying import MOST_TRIES, map_or_park

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


def test_what_breaks_down_is_asked_for_ever_more_rarely_and_parked_at_the_end(
    seller, asked_for, monkeypatch
):
    began = now = timezone.now()
    source = WebhookSourceFactory(tenant=seller.tenant)
    poison = WebhookDeliveryFactory(
        tenant=seller.tenant, source=source, verdict="RECEIVED", arrived_at=now - PATIENCE * 2
    )
    monkeypatch.setattr("webhooks.services.counting._judge", broken)
    asked_at = []
    while poison.verdict == "RECEIVED" and now < began + timedelta(hours=3):
        now += timedelta(seconds=5)
        if ask_again(now=now):
            asked_at.append((now - began).total_seconds())
            assert ask_again(now=now + timedelta(seconds=5)) == 0  # the others have their turn
            with suppress(RuntimeError):
                map_or_park(delivery_id=poison.pk, now=now, again=True)
        poison.refresh_from_db()

    assert asked_at == [5, 20, 50, 110, 230, 470, 950, 1910, 3830]
    assert (poison.verdict, poison.detail) == (
        "UNMAPPED",
        f"given up after {MOST_TRIES} tries: RuntimeError: no way",
    )
    monkeypatch.undo()
    replay_delivery(delivery=poison, actor=Actor.system("test"), now=now)
    poison.refresh_from_db()
    assert (poison.verdict, poison.tries, poison.due_at) == ("RECEIVED", 0, None)


def test_a_push_that_kills_its_worker_is_parked_as_well(seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    deadly = WebhookDeliveryFactory(
        tenant=seller.tenant, source=source, verdict="RECEIVED", tries=MOST_TRIES
    )
    assert map_or_park(delivery_id=deadly.pk, now=timezone.now(), again=True) == "UNMAPPED"
    deadly.refresh_from_db()
    assert deadly.detail.endswith("its worker was killed each time")
    assert map_or_park(delivery_id=deadly.pk, now=timezone.now(), again=True) is None


def test_a_database_that_is_away_is_no_try(seller, monkeypatch):
    source = WebhookSourceFactory(tenant=seller.tenant)
    waiting = WebhookDeliveryFactory(tenant=seller.tenant, source=source, verdict="RECEIVED")

    def away(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr("webhooks.services.counting._judge", away)
    with pytest.raises(OperationalError):
        map_or_park(delivery_id=waiting.pk, now=timezone.now(), again=True)
    waiting.refresh_from_db()
    assert (waiting.verdict, waiting.tries, waiting.detail) == ("RECEIVED", 0, "")


def broken(*args, **kwargs):
    raise RuntimeError("no way")


def test_mapping_fails_as_a_whole_or_not_at_all(seller, monkeypatch):
    sender = Sender(WebhookSourceFactory(tenant=seller.tenant), seller.client)
    sender.push(PAYLOAD)
    delivery = WebhookDelivery.objects.get()

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
