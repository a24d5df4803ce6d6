"""Webhook sources and deliveries over HTTP."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from aforo.tenancy.models import AuditEntry
from metering.models import InboxBatch, UsageEvent
from tests.clients import operator_client
from tests.factories import TenantFactory, WebhookDeliveryFactory, WebhookSourceFactory
from tests.webhooks.conftest import Sender, map_all, verdicts
from tests.webhooks.inbound.providers import signers
from webhooks.models import WebhookDelivery, WebhookSource
from webhooks.services import replays

PATH = "/api/v1/webhook-sources"
NEW = {
    "name": "loadgen",
    "customerIdPath": "$.customer_id",
    "metricKeyPath": "$.metric_id",
    "quantityPath": "$.body.quantity",
    "timestampPath": "$.event_timestamp",
    "description": "what it says",
}
RULE = {
    "eventTypes": ["used"],
    "items": "$.lines",
    "customer": "@.who",
    "metric": "calls",
    "quantity": "@.n",
    "quantityDefault": "7",
    "quantityScale": "0.01",
}
PAYLOAD = {"customerId": "cust_1", "metricName": "calls", "quantity": 1}


@pytest.fixture
def operator(seller):
    return operator_client(seller.tenant)


def test_a_source_is_made_and_its_secret_is_shown_once(operator, seller):
    answer = operator.post(PATH, NEW | {"tenantId": str(seller.tenant.pk)})

    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made["tenantId"] == str(seller.tenant.pk)
    assert made["signatureHeader"] == "X-Hub-Signature-256"
    assert made["signatureAlgorithm"] == "hmac-sha256"
    assert made["rateLimit"] == 600
    secret = made["secret"]
    assert secret.startswith("whsec_")
    for later in (operator.get(PATH), operator.get(f"{PATH}/{made['id']}")):
        assert secret not in later.content.decode()
    row = WebhookSource.objects.get()
    assert secret.encode() not in bytes(row.sealed_secret)
    row.secret = secret.encode()
    assert Sender(row, seller.client).push(PAYLOAD).status_code == 202
    assert secret not in str(list(AuditEntry.objects.values_list("changes", flat=True)))


def test_the_sender_may_dictate_the_secret(operator, seller):
    made = operator.post(PATH, NEW | {"secret": "0123456789abcdef"}).json()
    row = WebhookSource.objects.get()
    row.secret = b"0123456789abcdef"
    assert made["secret"] == "0123456789abcdef"
    assert Sender(row, seller.client).push(PAYLOAD).status_code == 202
    assert operator.post(PATH, NEW | {"secret": "short"}).status_code == 422


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"quantityPath": "$["}, "quantityPath"),
        ({"quantityPath": "$..a..b"}, "quantityPath"),
        ({"signatureHeader": "not a header"}, "signatureHeader"),
        ({"signatureHeader": ""}, "signatureHeader"),
        ({"signatureAlgorithm": "md5"}, "signatureAlgorithm"),
        ({"eventFilter": "all"}, "eventFilter"),
        ({"rateLimit": 0}, "rateLimit"),
        ({"name": ""}, "name"),
    ],
)
def test_what_cannot_work_is_refused(operator, fields, field):
    answer = operator.post(PATH, NEW | fields)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert not WebhookSource.objects.exists()


def test_another_tenant_cannot_be_named(operator):
    assert operator.post(PATH, NEW | {"tenantId": "somebody"}).status_code == 422


def test_a_source_is_changed_and_removed(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender = Sender(source, seller.client)
    path = f"{PATH}/{source.pk}"

    assert operator.patch(path, {"rateLimit": 5, "eventFilter": ["used"]}).json()["rateLimit"] == 5
    assert operator.patch(path, {"quantityPath": "$["}).status_code == 422
    assert operator.patch(path, {"isActive": False}).status_code == 200
    assert sender.push(PAYLOAD).status_code == 404
    assert operator.patch(path, {"isActive": True, "eventFilter": []}).status_code == 200
    assert sender.push(PAYLOAD).status_code == 202
    assert operator.delete(path).status_code == 200
    assert sender.push(PAYLOAD).status_code == 404
    assert operator.get(path).status_code == 404
    assert operator.get(PATH).json()["content"] == []
    actions = AuditEntry.objects.filter(target_id=str(source.pk)).values_list("action", flat=True)
    assert sorted(actions) == ["WEBHOOK_SOURCE_ARCHIVED"] + ["WEBHOOK_SOURCE_CHANGED"] * 3


def test_while_a_sender_changes_over_two_secrets_pass(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender, path = Sender(source, seller.client), f"{PATH}/{source.pk}"
    rotated = operator.post(f"{path}/rotate", {"oldValidSeconds": 600}).json()

    assert rotated["oldSecretUntil"] is not None
    with time_machine.travel(timezone.now() + timedelta(seconds=599), tick=False):
        assert sender.push(PAYLOAD).status_code == 202
        assert sender.push(PAYLOAD, secret=rotated["secret"].encode()).status_code == 202
    with time_machine.travel(timezone.now() + timedelta(seconds=601), tick=False):
        assert sender.push(PAYLOAD).status_code == 401
        assert sender.push(PAYLOAD, secret=rotated["secret"].encode()).status_code == 202


def test_a_secret_that_leaked_is_void_at_once(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender, path = Sender(source, seller.client), f"{PATH}/{source.pk}"
    fresh = operator.post(f"{path}/rotate", {"oldValidSeconds": 0}).json()["secret"]

    assert sender.push(PAYLOAD).status_code == 401
    assert sender.push(PAYLOAD, secret=fresh.encode()).status_code == 202


def test_a_source_of_a_provider_begins_with_its_template_and_waits_for_its_secret(operator, seller):
    made = operator.post(PATH, {"name": "payments", "provider": "STRIPE"}).json()
    assert made["secret"] == ""
    assert made["address"].endswith(f"/v1/ingest/webhook/{made['id']}")
    assert made["signatureHeader"] == "Stripe-Signature"
    first = made["mappings"][0]
    assert (first["eventTypes"], first["quantityScale"]) == (["charge.succeeded"], "0.01")

    row = WebhookSource.objects.get()
    row.secret = b""
    sender, path = Sender(row, seller.client), f"{PATH}/{row.pk}"
    assert sender.push(PAYLOAD, secret=b"whsec_of_stripe_0001").status_code == 401
    assert operator.post(f"{path}/rotate").status_code == 422
    given = operator.post(f"{path}/rotate", {"secret": "whsec_of_stripe_0001"})
    assert given.json()["oldSecretUntil"] is None
    push = signers.stripe(b'{"type": "x"}', at=int(time.time()), secret="whsec_of_stripe_0001")
    assert sender.push_provider(push).status_code == 202


def test_a_key_that_sendgrid_cannot_have_drawn_is_refused(operator):
    new = {"name": "mails", "provider": "SENDGRID", "secret": "0123456789abcdef"}
    answer = operator.post(PATH, new)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "secret"


def test_mappings_are_written_as_a_whole_and_audited(operator, seller):
    made = operator.post(PATH, NEW | {"mappings": [RULE]}).json()
    path = f"{PATH}/{made['id']}"
    assert made["mappings"][0]["quantityDefault"] == "7"
    written = {**RULE, "quantityDefault": None, "metadata": {"region": "eu"}}
    changed = operator.patch(path, {"mappings": [written, RULE]}).json()["mappings"]
    assert [one["quantityDefault"] for one in changed] == [None, "7"]
    assert operator.patch(path, {"mappings": changed}).status_code == 200  # as they are
    assert operator.patch(path, {"mappings": []}).json()["mappings"] == []
    entries = AuditEntry.objects.filter(action="WEBHOOK_SOURCE_CHANGED")
    assert [set(entry.changes) for entry in entries] == [{"mappings"}] * 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer": ""}, "customer"),
        ({"customer": "$["}, "customer"),
        ({"items": "lines"}, "items"),
        ({"quantity": "many"}, "quantity"),
        ({"metadata": {"a": "$["}}, "metadata.a"),
        ({"items": "$..a..b"}, "items"),
        ({"metadata": {"a": "@..b.`parent`"}}, "metadata.a"),
        ({"metadata": {f"{number}": "$.a" for number in range(51)}}, "metadata"),
        ({"quantityScale": "a lot"}, "quantityScale"),
        ({"path": "$.a"}, "path"),
    ],
)
def test_a_mapping_that_can_find_nothing_is_refused(operator, change, field):
    answer = operator.post(PATH, NEW | {"mappings": [RULE, RULE | change]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].replace("[1]", ".1") == f"mappings.1.{field}"
    assert not WebhookSource.objects.exists()


def test_a_mapping_is_tried_on_a_payload_and_on_what_came(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    path = f"{PATH}/{source.pk}/preview"
    payload = {"type": "used", "id": "1", "lines": [{"who": "a", "n": 150}, {"who": "b"}]}

    (one,) = operator.post(path, {"payload": payload, "mappings": [RULE]}).json()["content"]
    assert (one["verdict"], one["eventType"], one["error"]) == ("ACCEPTED", "used", None)
    assert [event["quantity"] for event in one["events"]] == [1.5, 7]
    slow = operator.post(path, {"payload": payload, "mappings": [RULE | {"items": "$..a..b"}]})
    assert slow.json()["errors"][0]["field"] == "mappings[0].items"
    (bad,) = operator.post(path, {"payload": payload}).json()["content"]
    assert (bad["verdict"], bad["events"]) == ("UNMAPPED", [])
    assert "customerId" in bad["error"]["detail"]

    sender = Sender(source, seller.client)
    sender.push(payload)
    sender.push({"type": "other"})
    sender.push(payload, secret=b"wrong")
    latest = operator.post(path, {"mappings": [RULE]}).json()["content"]
    assert [one["verdict"] for one in latest] == ["FILTERED", "ACCEPTED"]
    assert latest[1]["deliveryId"] == str(WebhookDelivery.objects.earliest("id").pk)
    assert len(operator.post(path, {"latest": 1}).json()["content"]) == 1
    assert not InboxBatch.objects.exists()


def test_what_was_parked_counts_after_its_mapping_is_mended(operator, seller, asked_for):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender, path = Sender(source, seller.client), f"{PATH}/{source.pk}"
    sender.push([PAYLOAD | {"id": "1"}, {"who": "cust_1", "id": "2"}])
    sender.push({"who": "cust_1", "id": "3"})
    map_all()
    assert verdicts() == ["UNMAPPED", "UNMAPPED"]

    rule = {"customer": "$.customerId|$.who", "metric": "calls"}
    assert operator.patch(path, {"mappings": [rule]}).status_code == 200
    first = WebhookDelivery.objects.earliest("id")
    replayed = operator.post(f"/api/v1/webhook-deliveries/{first.pk}/replay")
    assert (replayed.status_code, replayed.json()["verdict"]) == (202, "RECEIVED")
    many = operator.post("/api/v1/webhook-deliveries/replay", {"sourceId": str(source.pk)})
    assert many.json()["deliveries"] == 1  # the first one waits already
    assert len(asked_for) == 4
    map_all()
    seller.drain()

    assert verdicts() == ["ACCEPTED", "ACCEPTED"]
    assert list(WebhookDelivery.objects.values_list("event_count", "replays")) == [(1, 1), (2, 1)]
    keys = UsageEvent.objects.order_by("idempotency_key").values_list("idempotency_key", flat=True)
    base = f"webhook:{source.pk}"
    assert list(keys) == [f"{base}:1", f"{base}:2:calls", f"{base}:3:calls"]


def test_only_what_was_proven_is_replayed(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    Sender(source, seller.client).push(PAYLOAD, secret=b"wrong")
    refused = WebhookDelivery.objects.get()
    assert operator.post(f"/api/v1/webhook-deliveries/{refused.pk}/replay").status_code == 409
    every = "/api/v1/webhook-deliveries/replay"
    assert operator.post(every, {}).status_code == 422
    chosen = {"sourceId": str(source.pk), "verdict": "BAD_SIGNATURE"}
    assert operator.post(every, chosen).status_code == 422
    member = operator_client(seller.tenant, role="MEMBER")
    assert member.post(every, {"sourceId": str(source.pk)}).status_code == 403


def test_members_read_only(seller):
    member = operator_client(seller.tenant, role="MEMBER")
    assert member.post(PATH, NEW).status_code == 403
    assert member.get(PATH).status_code == 200


def test_deliveries_are_listed_newest_first_with_their_payloads(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender = Sender(source, seller.client)
    sender.push(PAYLOAD | {"id": "1"})
    sender.push(PAYLOAD | {"id": "2"}, secret=b"wrong")
    map_all()
    WebhookDeliveryFactory(tenant=TenantFactory())

    page = operator.get("/api/v1/webhook-deliveries?size=1").json()
    rest = operator.get(f"/api/v1/webhook-deliveries?cursor={page['nextCursor']}").json()
    verdicts = [row["verdict"] for row in page["content"] + rest["content"]]
    assert verdicts == ["BAD_SIGNATURE", "ACCEPTED"]
    only = operator.get("/api/v1/webhook-deliveries?verdict=ACCEPTED").json()["content"]
    one = operator.get(f"/api/v1/webhook-deliveries/{only[0]['id']}").json()
    assert one["payload"] == '{"customerId":"cust_1","metricName":"calls","quantity":1,"id":"1"}'
    assert one["sourceId"] == str(source.pk)


def test_whoever_reads_a_source_tries_it_with_numbers_as_they_are_spelled(seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    member = operator_client(seller.tenant, role="MEMBER")
    body = b'{"payload": {"customerId": "a", "metricName": "b", "quantity": 1.000000000001}}'
    answer = member.post(f"{PATH}/{source.pk}/preview", body, content_type="application/json")
    assert answer.status_code == 200
    assert b'"quantity":1.000000000001' in answer.content


def test_all_of_many_pushes_are_mapped_again_page_by_page(operator, seller, monkeypatch):
    monkeypatch.setattr(replays, "AT_ONCE", 2)
    sender = Sender(WebhookSourceFactory(tenant=seller.tenant, metric="calls"), seller.client)
    for number in range(3):
        sender.push({"who": "cust_1", "id": str(number)})
    map_all()
    chosen = {"sourceId": str(sender.source.pk)}
    pages = []
    for _ in range(3):
        page = operator.post("/api/v1/webhook-deliveries/replay", chosen).json()
        map_all()  # and is parked again
        pages.append(page["deliveries"])
        chosen["after"] = page["last"]
        if page["last"] is None:
            break
    assert pages == [2, 1, 0]
    assert set(WebhookDelivery.objects.values_list("replays", flat=True)) == {1}


@pytest.mark.parametrize(
    ("provider", "signs"),
    [
        ("GITHUB", ("hmac-sha256", "hex", "sha256=", False)),
        ("SENDGRID", ("ecdsa-p256-sha256", "base64", "", True)),
        ("SLACK", ("hmac-sha256", "hex", "v0=", True)),
        ("STRIPE", ("hmac-sha256", "hex", "v1=", True)),
        ("TWILIO", ("hmac-sha1", "base64", "", False)),
        ("CUSTOM", ("hmac-sha256", "base64", "sha256=", False)),
    ],
)
def test_a_source_says_how_its_provider_signs(operator, seller, provider, signs):
    source = WebhookSourceFactory(
        tenant=seller.tenant, provider=provider, signature_encoding="base64"
    )
    said = operator.get(f"{PATH}/{source.pk}").json()
    names = ("signatureAlgorithm", "signatureEncoding", "signaturePrefix", "requiresTimestamp")
    assert tuple(said[name] for name in names) == signs


def test_a_preview_says_which_metric_nobody_counts(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    path = f"{PATH}/{source.pk}/preview"
    (known,) = operator.post(path, {"payload": PAYLOAD | {"metricName": "tokens"}}).json()[
        "content"
    ]
    (unknown,) = operator.post(path, {"payload": PAYLOAD | {"metricName": "x"}}).json()["content"]
    assert (known["verdict"], known["error"]) == ("ACCEPTED", None)
    assert (unknown["verdict"], unknown["error"]["code"]) == ("ACCEPTED", "UNKNOWN_METRIC")
