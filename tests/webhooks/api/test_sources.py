"""Webhook sources and deliveries over HTTP."""

import pytest

from aforo.tenancy.models import AuditEntry
from tests.clients import operator_client
from tests.factories import TenantFactory, WebhookDeliveryFactory, WebhookSourceFactory
from tests.webhooks.conftest import Sender
from webhooks.models import WebhookSource

PATH = "/api/v1/webhook-sources"
NEW = {
    "name": "loadgen",
    "customerIdPath": "$.customer_id",
    "metricKeyPath": "$.metric_id",
    "quantityPath": "$.body.quantity",
    "timestampPath": "$.event_timestamp",
    "description": "what it says",
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


def test_a_rotated_secret_replaces_the_old_one_at_once(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender = Sender(source, seller.client)
    fresh = operator.post(f"{PATH}/{source.pk}/rotate").json()["secret"]

    assert sender.push(PAYLOAD).status_code == 401
    assert sender.push(PAYLOAD, secret=fresh.encode()).status_code == 202


def test_members_read_only(seller):
    member = operator_client(seller.tenant, role="MEMBER")
    assert member.post(PATH, NEW).status_code == 403
    assert member.get(PATH).status_code == 200


def test_deliveries_are_listed_newest_first_with_their_payloads(operator, seller):
    source = WebhookSourceFactory(tenant=seller.tenant)
    sender = Sender(source, seller.client)
    sender.push(PAYLOAD | {"id": "1"})
    sender.push(PAYLOAD | {"id": "2"}, secret=b"wrong")
    WebhookDeliveryFactory(tenant=TenantFactory())

    page = operator.get("/api/v1/webhook-deliveries?size=1").json()
    rest = operator.get(f"/api/v1/webhook-deliveries?cursor={page['nextCursor']}").json()
    verdicts = [row["verdict"] for row in page["content"] + rest["content"]]
    assert verdicts == ["BAD_SIGNATURE", "ACCEPTED"]
    only = operator.get("/api/v1/webhook-deliveries?verdict=ACCEPTED").json()["content"]
    one = operator.get(f"/api/v1/webhook-deliveries/{only[0]['id']}").json()
    assert one["payload"] == '{"customerId":"cust_1","metricName":"calls","quantity":1,"id":"1"}'
    assert one["sourceId"] == str(source.pk)
