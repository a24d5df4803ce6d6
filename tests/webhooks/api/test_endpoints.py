"""Endpoints and what was sent to them, over HTTP: secrets once, tests, redelivery, roles."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from aforo.outbox.facts import facts
from aforo.tenancy.models import AuditEntry
from tests.clients import operator_client
from tests.factories import OutboundDeliveryFactory, TenantFactory, WebhookEndpointFactory
from tests.webhooks.outbound.conftest import receiver
from webhooks.models import OutboundDelivery, WebhookEndpoint
from webhooks.outbound.pump import carry_out

__all__ = ["receiver"]
PATH = "/api/v1/webhook-endpoints"
SENT = "/api/v1/outbound-deliveries"


def now():
    return datetime.now(UTC)  # noqa: TID251 - receivers know no other


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def client(tenant):
    return operator_client(tenant, role="DEVELOPER")


def test_an_endpoint_is_made_tried_changed_and_removed(client, receiver):
    asked = {"url": f"{receiver.url}/a", "facts": ["invoice.finalized"], "description": "ours"}
    made = client.post(PATH, asked)
    assert made.status_code == 201
    own, secret = f"{PATH}/{made.json()['id']}", made.json()["secret"]
    assert "secret" not in client.get(own).json()

    tried = client.post(f"{own}/test")
    assert (tried.status_code, tried.json()["state"]) == (202, "PENDING")
    carry_out(now=now)
    sent = client.get(f"{SENT}/{tried.json()['id']}").json()
    assert (sent["state"], sent["lastStatus"], sent["attemptCount"]) == ("DELIVERED", 200, 1)
    (attempt,) = sent["attempts"]
    assert (attempt["status"], attempt["answer"]) == (200, "status 200")
    said = Webhook(secret).verify(attempt["requestBody"], attempt["requestHeaders"])
    assert said["type"] == "webhook_endpoint.test"

    assert client.patch(own, {"isActive": False, "facts": []}).json()["isActive"] is False
    refused = client.post(f"{own}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "ENDPOINT_DISABLED")
    assert client.patch(own, {"isActive": True}).json()["isActive"] is True
    assert client.delete(own).status_code == 200
    assert client.get(own).status_code == 404
    assert client.get(PATH).json()["content"] == []
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert [action.removeprefix("WEBHOOK_ENDPOINT_") for action in actions] == [
        "CREATED",
        "CHANGED",
        "CHANGED",
        "ARCHIVED",
    ]


def test_while_a_secret_is_replaced_messages_are_signed_with_both(client, tenant, receiver):
    endpoint = WebhookEndpointFactory(tenant=tenant, url=f"{receiver.url}/a")
    rotated = client.post(f"{PATH}/{endpoint.pk}/rotate").json()
    client.post(f"{PATH}/{endpoint.pk}/test")
    carry_out(now=now)
    (taken,) = receiver.taken
    for secret in (endpoint.secret, rotated["secret"]):
        assert Webhook(secret).verify(taken.body, taken.headers)
    WebhookEndpoint.objects.update(former_secret_until=now() - timedelta(seconds=1))
    client.post(f"{PATH}/{endpoint.pk}/test")
    carry_out(now=now)
    assert receiver.taken[1].headers["webhook-signature"].count("v1,") == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"url": "http://hooks.example/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://user:password@hooks.example/"}, "url"),
        ({"url": "nobody", "format": "EMAIL"}, "url"),
        ({"url": "https://hooks.example/", "facts": ["made.up"]}, "facts"),
    ],
)
def test_what_nothing_can_be_sent_to_is_refused(client, asked, field):
    answer = client.post(PATH, asked)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert not WebhookEndpoint.objects.exists()


def test_one_or_many_are_sent_again(client, tenant, receiver):
    endpoint = WebhookEndpointFactory(
        tenant=tenant, url=f"{receiver.url}/a", resting_until=now() + timedelta(hours=1)
    )
    given_up = OutboundDeliveryFactory.create_batch(
        3, tenant=tenant, endpoint=endpoint, state="FAILED", finished_at=now(), retry_step=9
    )
    theirs = OutboundDeliveryFactory(state="FAILED", finished_at=now())
    one = client.post(f"{SENT}/{given_up[0].pk}/redeliver")
    assert (one.status_code, one.json()["state"]) == (202, "PENDING")
    carry_out(now=now)
    assert len(receiver.taken) == 1

    assert client.post(f"{SENT}/redeliver", {}).status_code in {400, 422}
    many = client.post(f"{SENT}/redeliver", {"endpointId": str(endpoint.pk)})
    assert (many.status_code, many.json()) == (202, {"count": 2})
    carry_out(now=now)
    ids = [json.loads(taken.body)["id"] for taken in receiver.taken]
    assert sorted(ids) == sorted(f"msg_{row.message_id.hex}" for row in given_up)
    assert set(OutboundDelivery.objects.filter(tenant=tenant).values_list("state", flat=True)) == {
        "DELIVERED"
    }
    theirs.refresh_from_db()
    assert theirs.state == "FAILED"
    listed = client.get(SENT, {"endpointId": str(endpoint.pk), "state": "DELIVERED"}).json()
    assert [row["id"] for row in listed["content"]] == [str(row.pk) for row in reversed(given_up)]


def test_the_kinds_of_facts_are_listed_with_their_schemas(client):
    listed = client.get("/api/v1/webhook-facts").json()["content"]
    assert [fact["kind"] for fact in listed] == list(facts())
    assert listed[0]["payloadSchema"]["title"] == listed[0]["kind"]


def test_a_member_reads_and_changes_nothing(tenant):
    endpoint = WebhookEndpointFactory(tenant=tenant)
    reader = operator_client(tenant, role="MEMBER")
    assert reader.get(f"{PATH}/{endpoint.pk}").status_code == 200
    for path in (PATH, f"{PATH}/{endpoint.pk}/test", f"{PATH}/{endpoint.pk}/rotate"):
        assert reader.post(path, {"url": "https://hooks.example/"}).status_code == 403
