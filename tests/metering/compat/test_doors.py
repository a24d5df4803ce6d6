"""What the doors for other people's clients share with our own: keys, limits, secrets."""

import base64
import json

import lz4.frame
import pytest
import time_machine
from django.utils import timezone

from aforo.tenancy.models import ApiKey
from catalog import aliases
from catalog.models import Customer
from metering.models import DeadLetter, InboxBatch, UsageEvent
from tests.factories import CustomerAliasFactory
from tests.metering.conftest import TOKEN

LAGO = "/compat/lago/api/v1/events"
METER_EVENTS = "/compat/stripe/v1/billing/meter_events"
SESSION = "/compat/stripe/v2/billing/meter_event_session"
STREAM = "/compat/stripe/v2/billing/meter_event_stream"
PATHS = [
    LAGO,
    f"{LAGO}/batch",
    "/compat/openmeter/api/v1/events",
    METER_EVENTS,
    "/compat/stripe/v2/billing/meter_events",
    SESSION,
    STREAM,
]
METER_EVENT = {"event_name": "calls", "payload": {"stripe_customer_id": "cust_1", "value": "1"}}


def lago_event(**fields):
    whole = {"transaction_id": "tx-1", "external_subscription_id": "cust_1", "code": "calls"}
    return json.dumps({"event": whole | fields})


def send(seller, path, body, authorization=f"Bearer {TOKEN}", content_type="application/json"):
    return seller.client.post(
        path, data=body, content_type=content_type, headers={"Authorization": authorization}
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_revoked_key_opens_none_of_them(seller, path):
    send(seller, path, "{}")  # the process knows the key now
    before = InboxBatch.objects.count()
    ApiKey.objects.update(revoked_at=timezone.now())
    body = json.dumps({"event": {}, "events": [{}], **METER_EVENT, "specversion": "1.0"})

    answer = send(seller, path, "event_name=calls" if path == METER_EVENTS else body)

    assert answer.status_code == 401
    assert InboxBatch.objects.count() == before


@pytest.mark.parametrize("path", PATHS)
def test_they_are_for_posts_alone(seller, path):
    answer = seller.client.get(path)
    assert answer.status_code == 405
    assert answer["Allow"] == "POST"


def test_the_tenant_of_the_key_decides(seller):
    answer = seller.client.post(
        LAGO,
        data=lago_event(),
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}", "X-Tenant-Id": "somebody"},
    )
    assert answer.status_code == 403


def test_the_door_is_part_of_where_an_event_came_from(seller):
    send(seller, LAGO, lago_event())
    assert InboxBatch.objects.get().door == LAGO


def test_a_key_may_be_the_user_of_basic_credentials(seller):
    form = "event_name=calls&payload[stripe_customer_id]=cust_1&payload[value]=1&identifier=a"
    kind = "application/x-www-form-urlencoded"
    basic = base64.b64encode(f"{TOKEN}:".encode()).decode()

    assert send(seller, METER_EVENTS, form, f"Basic {basic}", kind).status_code == 200
    assert send(seller, METER_EVENTS, form, "Basic ???", kind).status_code == 401


def session(seller):
    return send(seller, SESSION, "{}").json()


def test_a_session_is_over_after_a_quarter_of_an_hour(seller):
    body = json.dumps({"events": [METER_EVENT]})
    with time_machine.travel(timezone.now()) as clock:
        token = f"Bearer {session(seller)['authentication_token']}"
        clock.shift(899)
        assert send(seller, STREAM, body, token).status_code == 200
        clock.shift(2)
        over = send(seller, STREAM, body, token)
    assert over.status_code == 401
    assert over.json()["error"]["code"] == "session_expired"


def test_revoking_its_key_ends_a_session(seller):
    token = f"Bearer {session(seller)['authentication_token']}"
    ApiKey.objects.update(revoked_at=timezone.now())

    answer = send(seller, STREAM, json.dumps({"events": [METER_EVENT]}), token)

    assert answer.status_code == 401
    assert not InboxBatch.objects.exists()


def test_a_session_opens_nothing_but_the_stream(seller):
    token = f"Bearer {session(seller)['authentication_token']}"
    assert send(seller, LAGO, lago_event(), token).status_code == 401


def test_secrets_in_foreign_events_are_kept_nowhere(seller):
    secret = "sk_live_" + "S3cr3t" * 6
    customer = Customer.objects.get(tenant=seller.tenant)
    CustomerAliasFactory(
        tenant=seller.tenant,
        customer=customer,
        digest=aliases.digest_of(seller.tenant.pk, secret),
    )
    send(seller, LAGO, lago_event(external_subscription_id=secret))
    send(seller, LAGO, lago_event(code=None, apiKey=secret, note=secret))
    stored = [lz4.frame.decompress(bytes(row.body)) for row in InboxBatch.objects.all()]
    seller.drain()

    assert UsageEvent.objects.get().customer_id == customer.pk
    letters = [bytes(letter.event) for letter in DeadLetter.objects.all()]
    assert len(letters) == 1
    kept = b" ".join([*stored, *letters, UsageEvent.objects.get().metadata.encode()])
    assert secret.encode() not in kept
