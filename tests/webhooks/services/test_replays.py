"""Mapping a push again loses neither the way from its events nor count of them."""

import pytest
from django.utils import timezone

from aforo.tenancy.services.actors import Actor
from metering.models import UsageEvent
from tests.clients import operator_client
from tests.factories import WebhookSourceFactory
from tests.webhooks.conftest import Sender, map_all
from webhooks.inbound.paths import Search
from webhooks.inbound.rules import Rule
from webhooks.inbound.walking import Allowance
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.services import counting
from webhooks.services.mappings import replace_rules
from webhooks.services.replays import replay_delivery

EVENT = {
    "customerId": "cust_1",
    "metricName": "tokens",
    "quantity": 7,
    "occurredAt": "2026-03-15T11:00:00Z",
}
NOBODY = {name: value for name, value in EVENT.items() if name != "customerId"}


@pytest.fixture
def sender(seller):
    return Sender(WebhookSourceFactory(tenant=seller.tenant), seller.client)


def replay(seller):
    """Map the one push again, and count."""
    delivery = WebhookDelivery.objects.get()
    replay_delivery(delivery=delivery, actor=Actor.system("test"), now=timezone.now())
    map_all()
    seller.drain()
    delivery.refresh_from_db()
    return delivery


def found_by_batches(seller):
    """How many pushes the batch of each event leads to."""
    client = operator_client(seller.tenant)
    batches = UsageEvent.objects.order_by("quantity").values_list("batch_id", flat=True)
    pages = [client.get(f"/api/v1/webhook-deliveries?batchId={one}").json() for one in batches]
    return [len(page["content"]) for page in pages]


def test_a_push_that_is_mapped_again_keeps_its_batch_and_its_counts(sender, seller):
    sender.push([EVENT | {"id": "a"}, EVENT | {"id": "b", "quantity": -1}])
    map_all()
    seller.drain()
    for _ in range(2):
        delivery = replay(seller)

    assert (delivery.event_count, delivery.refused_count, delivery.replays) == (2, 1, 2)
    assert delivery.batch_id == UsageEvent.objects.get().batch_id
    assert len(delivery.later_batches) == 2
    assert found_by_batches(seller) == [1]


def test_what_was_parked_comes_on_top_and_leads_to_its_push_as_well(sender, seller):
    sender.push([EVENT | {"id": "a"}, NOBODY | {"id": "cust_1", "quantity": 8}])
    map_all()
    seller.drain()
    WebhookSource.objects.update(customer_id_path="$.id")  # any tenant: the only one
    delivery = replay(seller)

    assert (delivery.verdict, delivery.event_count, delivery.parked) == ("ACCEPTED", 2, [])
    first, second = UsageEvent.objects.order_by("quantity")
    assert (first.batch_id, [second.batch_id]) == (delivery.batch_id, delivery.later_batches)
    assert found_by_batches(seller) == [1, 1]


@pytest.mark.parametrize("last", [{"id": "one too many", "c": "cust_1"}, {"id": "of nobody"}])
def test_a_payload_that_makes_no_event_takes_none_from_the_others(
    seller, sender, monkeypatch, last
):
    monkeypatch.setattr(counting, "Search", lambda: Search(events_left=3))
    replace_rules(sender.source, [Rule(customer="@.c", metric="tokens", items="$.items")])
    whole = [{"id": str(number), "c": "cust_1"} for number in range(3 if len(last) > 1 else 2)]
    small = [{"id": f"s{number}", "items": [{"c": "cust_1"}]} for number in range(3)]
    sender.push([{"id": "big", "items": [*whole, last]}, *small])
    map_all()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.event_count, delivery.parked) == (3, [0])


def test_what_takes_too_many_looks_is_left_to_the_end_when_it_is_mapped_again(
    seller, sender, monkeypatch
):
    monkeypatch.setattr(counting, "Search", lambda: Search(Allowance(5_000)))
    replace_rules(sender.source, [Rule(customer="$..nowhere|$.c", metric="tokens")])
    big = {"c": "cust_1", "id": "big", "x": list(range(6_000))}
    sender.push([big, *({"c": "cust_1", "id": f"s{number}"} for number in range(2))])
    map_all()
    delivery = replay(seller)
    assert (delivery.event_count, delivery.parked) == (2, [0])


def test_events_that_counted_are_no_more_after_a_mapping_was_broken_for_a_while(sender, seller):
    sender.push([EVENT | {"id": "a"}, EVENT | {"id": "b"}])
    map_all()
    for path in ("$[*].nobody", ""):
        rules = [Rule(customer=path, metric="tokens")] if path else []
        replace_rules(sender.source, rules)
        delivery = replay(seller)
    assert (delivery.verdict, delivery.event_count, delivery.parked) == ("ACCEPTED", 2, [])


def test_the_reason_of_an_earlier_time_is_no_reason_of_this_one(sender):
    sender.push(NOBODY)
    map_all()
    delivery = WebhookDelivery.objects.get()
    replay_delivery(delivery=delivery, actor=Actor.system("test"), now=timezone.now())
    delivery.refresh_from_db()
    assert delivery.detail == ""
