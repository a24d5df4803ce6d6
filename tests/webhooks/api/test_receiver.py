"""Pushes over HTTP: proven, mapped, counted once, kept as they came."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import uuid4

import lz4.frame
import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from twilio.request_validator import RequestValidator

from aforo import valkey
from aforo.api.rates import RATES
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from metering.ingest.connection import _HotCursor
from metering.ingest.gates import MAX_KEY
from metering.models import DeadLetter, InboxBatch, UsageEvent
from tests.factories import TenantFactory, WebhookSourceFactory
from tests.metering.events import codes, outcomes
from tests.webhooks.conftest import Sender, map_all, verdicts
from webhooks.inbound.documents import FORM
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import sign
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.services import pushes
from webhooks.services.deliveries import address_of
from webhooks.services.mappings import replace_rules
from webhooks.services.secrets import rotate_secret

PAYLOAD = {
    "customer_id": "cust_1",
    "metric_id": "tokens",
    "body": {"quantity": 7},
    "event_timestamp": "2026-03-15T11:00:00Z",
    "id": "evt_1",
}
DAY = timedelta(days=1)
NATIVE = {
    "customerId": "cust_1",
    "metricName": "tokens",
    "quantity": 7,
    "occurredAt": "2026-03-15T11:00:00Z",
}


def drain(seller):
    """What workers do: map, then count."""
    map_all()
    seller.drain()


@pytest.mark.parametrize("payload", [PAYLOAD, NATIVE], ids=["registered paths", "our own names"])
def test_a_push_is_counted_for_the_tenant_of_its_source(sender, seller, asked_for, payload):
    answer = sender.push(payload, **{"X-Tenant-Id": "somebody-else"})

    assert answer.status_code == 202, answer.content
    (delivery,) = WebhookDelivery.objects.all()
    assert answer.json() == {"deliveryId": str(delivery.pk), "verdict": "RECEIVED"}
    assert asked_for == [str(delivery.pk)]
    assert b'"cust_1"' in lz4.frame.decompress(bytes(delivery.payload))
    assert not InboxBatch.objects.exists()  # that is what the task is for

    drain(seller)
    (event,) = UsageEvent.objects.all()
    assert (event.metric, event.quantity, event.source) == ("tokens", 7, "WEBHOOK")
    assert event.tenant_id == seller.tenant.pk
    delivery.refresh_from_db()
    assert (delivery.verdict, delivery.batch_id) == ("ACCEPTED", event.batch_id)
    assert delivery.event_key == event.idempotency_key


def test_the_door_asks_for_a_source_once_and_keeps_each_push_by_one_statement(sender, monkeypatch):
    sent = []
    run = _HotCursor.execute
    monkeypatch.setattr(_HotCursor, "execute", lambda *args: sent.append(1) or run(*args))
    for count, asked in ((1, 1), (1, 0), (300, 0)):
        payloads = [PAYLOAD | {"id": f"{count} {number}"} for number in range(count)]
        with CaptureQueriesContext(connection) as others:
            assert sender.push(payloads).status_code == 202
        assert (len(others), sent) == (asked, [1])
        sent.clear()


@pytest.mark.parametrize(
    ("change", "status"),
    [({"is_active": False}, 404), ({"archived_at": timezone.now()}, 404), ({"name": "x"}, 202)],
)
def test_no_push_passes_by_a_source_as_it_was(sender, change, status):
    """Each process remembers sources, and none is told when one changes."""
    assert sender.push(PAYLOAD).status_code == 202
    WebhookSource.objects.filter(pk=sender.source.pk).update(**change)
    assert sender.push(PAYLOAD | {"id": "evt_2"}).status_code == status
    assert len(verdicts()) == (2 if status == 202 else 1)


def test_a_new_secret_passes_at_once_and_the_old_one_no_more(sender):
    assert sender.push(PAYLOAD).status_code == 202
    actor, now = Actor.system("test"), timezone.now()
    rotate_secret(source=sender.source, actor=actor, now=now, secret="whsec_the_next_one")
    assert sender.push(PAYLOAD).status_code == 401
    assert sender.push(PAYLOAD, secret=b"whsec_the_next_one").status_code == 202


def test_a_push_is_dated_by_the_clock_of_its_tenant_as_it_is(sender):
    then = datetime(2031, 5, 1, tzinfo=UTC)
    for clock in ({"clock_frozen_at": then}, {"clock_frozen_at": None, "clock_offset": DAY}):
        Tenant.objects.filter(pk=sender.source.tenant_id).update(**clock)
        assert sender.push(PAYLOAD).status_code == 202
    frozen, ahead = WebhookDelivery.objects.order_by("id")
    assert frozen.received_at == then
    assert ahead.received_at == ahead.arrived_at + DAY


def test_a_push_is_asked_for_when_its_answer_has_gone_out(sender, asked_for, monkeypatch):
    """The broker may take its time, or be away: a sweep finds what nobody asked for."""
    later = []
    monkeypatch.setattr("webhooks.api.receiver.after_answer", lambda _, call: later.append(call))
    assert sender.push(PAYLOAD).status_code == 202
    assert asked_for == []
    (ask,) = later
    ask()
    assert asked_for == [str(WebhookDelivery.objects.get().pk)]


def test_a_repeat_is_dropped_from_memory_and_without_it_by_the_ledger(sender, seller, asked_for):
    first, twin = sender.push(PAYLOAD), sender.push(PAYLOAD)  # before anything is mapped
    map_all()
    again = sender.push(PAYLOAD)
    drain(seller)

    seen = [answer.json()["verdict"] for answer in (first, twin, again)]
    assert seen == ["RECEIVED", "RECEIVED", "DUPLICATE"]
    assert len(asked_for) == 2
    assert verdicts() == ["ACCEPTED", "ACCEPTED", "DUPLICATE"]
    assert UsageEvent.objects.count() == 1


def test_what_counted_is_remembered_for_72_hours_and_what_was_parked_is_not(sender):
    counted, parked = PAYLOAD, {"who": "cust_1"}
    for payload in (counted, parked):
        sender.push(payload)
    map_all()
    again = [sender.push(payload).json()["verdict"] for payload in (counted, parked)]

    assert again == ["DUPLICATE", "RECEIVED"]
    (name,) = valkey.client().scan_iter(f"webhook:{sender.source.pk}:*")
    assert 72 * 3600 - 60 < valkey.client().ttl(name) <= 72 * 3600


def test_the_same_id_with_other_content_is_a_conflict_to_be_seen(sender, seller):
    sender.push(PAYLOAD)
    map_all()
    sender.push(PAYLOAD | {"body": {"quantity": 8}})
    drain(seller)

    assert UsageEvent.objects.count() == 1
    assert codes() == ["IDEMPOTENCY_CONFLICT"]


def test_without_redis_the_ledger_judges(sender, seller, redis_down):
    for _ in range(2):
        assert sender.push(PAYLOAD).status_code == 202
        map_all()
    seller.drain()

    assert outcomes() == {"counted": 1, "duplicates": 1}


@pytest.mark.parametrize(
    "signature", [..., "", "sha256=00", "00" * 32], ids=["none", "empty", "short", "wrong"]
)
def test_a_wrong_signature_is_401_and_logged(sender, signature):
    answer = sender.push(PAYLOAD, **{"X-Hub-Signature-256": signature})

    assert answer.status_code == 401
    assert answer.json()["code"] == "BAD_SIGNATURE"
    assert verdicts() == ["BAD_SIGNATURE"]


def test_an_api_key_is_no_signature(sender, seller):
    answer = sender.client.post(
        sender.path,
        b"{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {seller.token}"},
    )
    assert answer.status_code == 401


def test_nobody_fills_the_log_without_the_secret(sender):
    for _ in range(70):
        assert sender.push(PAYLOAD, secret=b"guessed").status_code == 401
    assert len(verdicts()) == 60
    assert sender.push(PAYLOAD).status_code == 202  # nor keeps the sender out


def test_an_old_push_is_stale(sender):
    seconds = int(timezone.now().timestamp())
    fresh = sender.push(PAYLOAD, **{"X-Aforo-Timestamp": str(seconds)})
    stale = sender.push(PAYLOAD, **{"X-Aforo-Timestamp": str(seconds - 301)})

    assert (fresh.status_code, stale.status_code) == (202, 401)
    assert stale.json()["code"] == "STALE"
    assert verdicts() == ["RECEIVED", "STALE"]


@pytest.mark.parametrize("change", [{"is_active": False}, {"archived_at": timezone.now()}])
def test_a_source_that_is_off_is_404(sender, change):
    WebhookSource.objects.filter(pk=sender.source.pk).update(**change)
    assert sender.push(PAYLOAD).status_code == 404


def test_an_unknown_source_is_404(sender):
    assert sender.push(PAYLOAD, path=f"/v1/ingest/webhook/{uuid4()}").status_code == 404
    assert sender.push(PAYLOAD, path="/v1/ingest/webhook/none").status_code == 404
    assert sender.client.get(sender.path).status_code == 405


def test_what_is_no_json_is_400_and_kept(sender):
    assert sender.push(b"{").status_code == 400
    assert sender.push(b"[{}, ").status_code == 400
    assert sender.push(b"").status_code == 400
    assert verdicts() == ["UNREADABLE"] * 3


def test_what_cannot_be_mapped_is_parked(sender, seller):
    assert sender.push({"who": "cust_1", "how": ["much"]}).status_code == 202
    drain(seller)

    (delivery,) = WebhookDelivery.objects.all()
    assert (delivery.verdict, delivery.parked) == ("UNMAPPED", [0])
    assert "$.customer_id" in delivery.detail
    assert not DeadLetter.objects.exists()


def test_what_the_gates_refuse_is_a_dead_letter(sender, seller):
    sender.push(PAYLOAD | {"body": {"quantity": -1}})
    sender.push(PAYLOAD | {"id": "evt_2", "metric_id": "unknown"})
    drain(seller)

    assert codes() == ["INVALID_QUANTITY", "UNKNOWN_METRIC"]
    assert verdicts() == ["ACCEPTED", "ACCEPTED"]
    assert list(WebhookDelivery.objects.values_list("refused_count", flat=True)) == [0, 1]


def test_an_array_is_several_pushes_and_one_that_cannot_be_mapped_holds_up_none(sender, seller):
    sender.push([PAYLOAD, {"bad": 1}, PAYLOAD | {"id": "evt_2"}])
    drain(seller)

    (delivery,) = WebhookDelivery.objects.all()
    assert (delivery.verdict, delivery.parked, delivery.event_count) == ("UNMAPPED", [1], 2)
    assert "payload 2 of 3" in delivery.detail
    assert outcomes() == {"counted": 2}


def test_only_events_of_the_filter_count(sender, seller):
    WebhookSource.objects.filter(pk=sender.source.pk).update(event_filter=["used", "renew.*"])
    for kind in ("created", "used", "renew.all", "renewed"):
        sender.push(PAYLOAD | {"type": kind, "id": kind})
    drain(seller)

    assert verdicts() == ["FILTERED", "ACCEPTED", "ACCEPTED", "FILTERED"]
    assert outcomes() == {"counted": 2}


def test_a_header_may_say_what_makes_a_push_the_same(sender, seller):
    WebhookSource.objects.filter(pk=sender.source.pk).update(event_id_header="X-GitHub-Delivery")
    for delivery in ("a", "b", "a"):
        sender.push(NATIVE, **{"X-GitHub-Delivery": delivery})
        map_all()
    seller.drain()

    assert UsageEvent.objects.count() == 2


def test_a_source_has_a_rate(sender):
    WebhookSource.objects.filter(pk=sender.source.pk).update(rate_limit=2)
    answers = [sender.push(PAYLOAD | {"id": f"evt_{number}"}) for number in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[2]["Retry-After"]) <= 61
    assert verdicts() == ["RECEIVED", "RECEIVED"]


def test_two_sources_do_not_know_each_others_secret_or_ids(sender, seller):
    other = WebhookSourceFactory(tenant=TenantFactory(), secret="whsec_other")
    path = f"/v1/ingest/webhook/{other.pk}"
    assert sender.push(NATIVE, path=path).status_code == 401
    assert sender.push(NATIVE, path=path, secret=b"whsec_other").status_code == 202
    map_all()
    assert InboxBatch.objects.get().tenant_id == other.tenant_id


def test_credentials_in_a_push_are_kept_nowhere(sender, seller):
    secret = "sk_live_" + "S3cr3t" * 6
    sender.push(PAYLOAD | {"apiKey": secret, "note": secret, "idempotencyKey": secret})
    drain(seller)

    (delivery,) = WebhookDelivery.objects.all()
    kept = lz4.frame.decompress(bytes(delivery.payload)).decode()
    (event,) = UsageEvent.objects.all()
    for text in (kept, event.metadata, event.idempotency_key, delivery.event_key):
        assert secret not in text


def test_a_type_at_a_path_is_found_when_the_push_is_mapped(sender):
    WebhookSource.objects.filter(pk=sender.source.pk).update(event_type_path="$..kind")
    sender.push(PAYLOAD | {"type": "at the top", "about": {"kind": "used"}})
    assert WebhookDelivery.objects.get().event_type == "at the top"
    map_all()
    assert WebhookDelivery.objects.get().event_type == "used"


def test_a_custom_push_may_be_of_the_type_that_slack_names_its_challenge(sender, seller):
    answer = sender.push(NATIVE | {"type": "url_verification", "challenge": "x", "id": "evt_1"})
    assert answer.status_code == 202
    drain(seller)
    assert (verdicts(), outcomes()) == (["ACCEPTED"], {"counted": 1})


def test_whoever_has_used_up_the_minute_of_a_source_is_not_asked_for_a_signature(sender):
    WebhookSource.objects.filter(pk=sender.source.pk).update(rate_limit=1)
    assert sender.push(PAYLOAD, secret=b"guessed").status_code == 401  # and takes nothing away
    assert sender.push(PAYLOAD).status_code == 202
    assert sender.push(PAYLOAD, secret=b"guessed").status_code == 429


def test_more_payloads_than_one_push_may_have_are_413_and_kept(sender):
    assert sender.push(b"[" + b"0," * 10_000 + b"0]").status_code == 413
    (delivery,) = WebhookDelivery.objects.all()
    assert (delivery.verdict, delivery.parked) == ("UNREADABLE", [])
    assert "10,000 payloads" in delivery.detail


def test_a_detail_and_a_key_are_as_long_as_they_can_be_shown(sender, seller):
    """They stand in lists and in facts that are told, for years."""
    long = "x" * 100_000
    replace_rules(sender.source, [Rule(customer="$.c", metric="tokens", quantity="$.q")])
    sender.push({"c": "cust_1", "q": long})
    sender.push({"c": "cust_1", "q": 1, "id": long})
    drain(seller)

    parked, refused = WebhookDelivery.objects.order_by("id")
    assert parked.detail.startswith("what is at $.q is no number: 'xxx")
    assert len(parked.detail) < 200
    assert (refused.refused_count, len(refused.event_key)) == (1, MAX_KEY)
    assert len(pushes.brief(long)) == 500


def test_an_address_may_say_by_which_network_it_is_reached(sender):
    headers = {"X-Hub-Signature-256": "sha256=" + sign(sender.source.secret, b"{}")}
    answer = sender.client.post(
        sender.path,
        b"{}",
        content_type="application/json",
        REMOTE_ADDR="fe80::1%2",
        headers=headers,
    )
    assert answer.status_code == 202
    assert WebhookDelivery.objects.get().address == "fe80::1"


def test_a_number_beyond_reason_is_422_and_kept(sender):
    assert sender.push(b'{"quantity": 1e999}').status_code == 422
    assert verdicts() == ["UNREADABLE"]


def test_of_what_nobody_has_signed_little_is_kept(sender):
    sender.push(b"x" * 100_000, secret=b"guessed")
    delivery = WebhookDelivery.objects.get()
    assert len(lz4.frame.decompress(bytes(delivery.payload))) == 8 * 1024
    assert delivery.size == 100_000


def test_no_header_makes_a_form_of_json(sender, seller):
    """Nobody signs a content type: what is sent again with another one is the same."""
    note = "fix&customer_id=cust_1&metric_id=tokens&id=evt_2&x="
    body = msgspec.json.encode(PAYLOAD | {"note": note})
    signed = {"X-Hub-Signature-256": "sha256=" + sign(sender.source.secret, body)}
    for kind in ("application/json", FORM):
        assert sender.send(body, signed, content_type=kind).status_code == 202
        drain(seller)
    assert verdicts() == ["ACCEPTED", "DUPLICATE"]


def test_a_form_of_twilio_holds_no_json(seller):
    """Whoever captured one may cut it into other fields, a `payload` among them."""
    source = WebhookSourceFactory(tenant=seller.tenant, provider="TWILIO", secret="token")
    replace_rules(source, PROVIDERS["TWILIO"].rules)
    inner = {"id": "EZ1", "type": "com.twilio.messaging.message.delivered"}
    text = msgspec.json.encode(inner | {"data": {"accountSid": "cust_1"}}).decode()
    fields = {"AccountSid": "AC" + "01" * 16, "payload": text, "zz": ""}
    signature = RequestValidator("token").compute_signature(address_of(source.pk), fields)
    headers = {"X-Twilio-Signature": signature}
    answer = Sender(source, seller.client).send(
        urlencode(fields).encode(), headers, content_type=FORM
    )
    assert answer.status_code == 200
    map_all()
    assert verdicts() == ["UNMAPPED"]  # a form without a sid


def test_an_id_in_a_header_is_of_a_payload_at_its_place(sender, seller):
    WebhookSource.objects.filter(pk=sender.source.pk).update(event_id_header="X-Event")
    same = {name: value for name, value in PAYLOAD.items() if name != "id"}
    other = same | {"body": {"quantity": 8}}
    for payloads in ([same, same], [same, other], [same]):
        sender.push(payloads, **{"X-Event": "evt_9"})
        map_all()
    seller.drain()

    keys = UsageEvent.objects.order_by("idempotency_key").values_list("idempotency_key", flat=True)
    base = f"webhook:{sender.source.pk}:evt_9"
    assert list(keys) == [base, f"{base}:0", f"{base}:1"]
    assert codes() == ["IDEMPOTENCY_CONFLICT"]


def test_a_push_to_a_source_that_changed_takes_one_of_its_minute(sender):
    sender.push(PAYLOAD)
    WebhookSource.objects.filter(pk=sender.source.pk).update(name="x")
    used = RATES.rate_of(sender.source.pk, 600).used
    sender.push(PAYLOAD | {"id": "evt_2"})
    assert RATES.rate_of(sender.source.pk, 600).used == used + 1
