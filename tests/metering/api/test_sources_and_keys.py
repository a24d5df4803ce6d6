"""Units that say who may send their events, and of what the key of an event is made."""

import pytest
from django.test import Client

from aforo.errors import Refused
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import issue_key
from catalog.models import BillableUnit
from metering.ingest import known
from metering.models import DeadLetter, UsageEvent
from metering.services.replays import send_again
from tests.clients import client_with, operator_client
from tests.factories import ApiKeyFactory
from tests.metering.conftest import NOW, Seller, catalog_changed, subscribe
from tests.metering.events import event

GATEWAY = "sk_test_" + "g" * 40


def change(tenant, **fields):
    BillableUnit.objects.filter(tenant=tenant, name="calls").update(**fields)
    catalog_changed(tenant)
    known.forget_everything()


@pytest.fixture
def gateway(seller):
    ApiKeyFactory(tenant=seller.tenant, secret=GATEWAY, source="GATEWAY")
    return Seller(seller.tenant, Client(), GATEWAY)


def test_a_unit_counts_the_sources_that_it_allows(seller, gateway):
    change(seller.tenant, allowed_sources=["GATEWAY"])
    gateway.count(event(1))
    seller.count(event(2))
    rows = UsageEvent.objects.order_by("idempotency_key").values_list("source", "revenue")
    assert [(source, str(revenue)) for source, revenue in rows] == [
        ("GATEWAY", "0.02"),
        ("API", "0"),
    ]
    assert not UsageEvent.objects.get(source="API").running_total_id


def test_a_replayed_letter_keeps_its_sender(seller, gateway):
    change(seller.tenant, allowed_sources=["GATEWAY"])
    for number, sender in enumerate((seller, gateway, seller)):
        sender.count(event(number, customerId="late_comer"))
    subscribe(seller.tenant, "late_comer")
    letters = list(DeadLetter.objects.order_by("id"))
    assert sorted(letter.source for letter in letters) == ["API", "API", "GATEWAY"]
    send_again(letters, tenant_id=seller.tenant.pk, now=NOW, by="test", reason="known now")
    seller.drain()
    assert UsageEvent.objects.filter(running_total_id__isnull=False).count() == 1
    assert UsageEvent.objects.count() == 3


def test_a_key_is_made_of_the_fields_that_the_unit_names(seller):
    change(seller.tenant, key_fields=["requestId"])
    one = event(1, metadata={"requestId": "r-1"})
    del one["idempotencyKey"]
    first = seller.count(one).json()
    again = seller.count(one | {"quantity": 1}).json()
    assert first["idempotencyKeys"] == again["idempotencyKeys"]
    assert first["idempotencyKeys"]["0"].startswith("fields:")
    assert UsageEvent.objects.count() == 1


def test_an_event_without_the_named_field_gets_a_new_key(seller):
    change(seller.tenant, key_fields=["requestId"])
    one = event(1, metadata={"other": 1})
    del one["idempotencyKey"]
    seller.count(one)
    seller.count(one)
    assert UsageEvent.objects.count() == 2


def test_keys_of_fields_differ_by_customer_and_value(seller):
    change(seller.tenant, key_fields=["requestId", "part"])
    subscribe(seller.tenant, "cust_2")
    sent = [
        event(1, customerId=customer, metadata={"requestId": request, "part": part})
        for customer in ("cust_1", "cust_2")
        for request, part in (("a", 1), ("a", 2), ("b", 1))
    ]
    for one in sent:
        del one["idempotencyKey"]
    keys = seller.count(*sent).json()["idempotencyKeys"]
    assert len(set(keys.values())) == 6
    assert UsageEvent.objects.count() == 6


def test_repeats_of_one_request_are_told_at_the_door(seller):
    change(seller.tenant, key_fields=["requestId"])
    one = event(1, metadata={"requestId": "r-1"})
    del one["idempotencyKey"]
    told = seller.count(one, one).json()
    assert (told["accepted"], told["duplicates"]) == (1, 1)


def test_sources_and_key_fields_are_set_over_http(seller):
    client = operator_client(seller.tenant)
    unit = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    asked = {"allowedSources": ["GATEWAY", "FILE"], "keyFields": ["requestId"]}
    told = client.patch(f"/api/v1/metrics/{unit.pk}", asked, format="json")
    assert told.status_code == 200, told.content
    assert {name: told.json()[name] for name in asked} == asked
    twice = client.patch(f"/api/v1/metrics/{unit.pk}", {"keyFields": ["a", "a"]}, format="json")
    assert twice.status_code == 422
    assert "keyFields" in twice.content.decode()


def test_a_key_says_who_sends_with_it(seller):
    key, secret = issue_key(
        tenant=Tenant.objects.get(pk=seller.tenant.pk),
        kind="METERING",
        name="edge",
        source="GATEWAY",
        actor=Actor.system("tests"),
        now=NOW,
    )
    Seller(seller.tenant, Client(), secret).count(event(1))
    assert key.source == UsageEvent.objects.get().source == "GATEWAY"


def test_no_key_sends_as_aforo_itself(seller):
    with pytest.raises(Refused, match="REPLAY"):
        issue_key(
            tenant=seller.tenant,
            kind="METERING",
            name="edge",
            source="REPLAY",
            actor=Actor.system("tests"),
            now=NOW,
        )


def test_a_trial_knows_both(seller, gateway):
    change(seller.tenant, allowed_sources=["GATEWAY"], key_fields=["requestId"])
    one = event(1, metadata={"requestId": "r-1"})
    del one["idempotencyKey"]
    by_sdk, by_gateway = (
        client_with(token).post("/v1/ingest/test", one, format="json").json()
        for token in (seller.token, GATEWAY)
    )
    assert (by_sdk["verdict"], by_gateway["verdict"]) == ("UNBILLED", "COUNTED")
    assert by_sdk["idempotencyKey"] == by_gateway["idempotencyKey"] != ""
