"""What became of a batch, as its sender can ask."""

from uuid import uuid4

import pytest

from aforo.tenancy.models import ApiKey
from tests.factories import NOW, ApiKeyFactory, OperatorKeyFactory, TenantFactory
from tests.metering.events import billed, event

COUNTS = ("counted", "unbilled", "duplicates", "dead", "held")


def ask(seller, answer, token=None, **headers):
    batch_id = answer.json()["batchId"]
    return seller.client.get(
        f"/v1/ingest/batches/{batch_id}",
        headers={"Authorization": f"Bearer {token or seller.token}", **headers},
    )


def test_a_batch_in_the_inbox_is_pending_and_names_what_the_door_refused(seller):
    sent = seller.send(event(1), event(2, quantity=-1), event(3, customerId="nobody"))
    answer = ask(seller, sent)
    assert answer.status_code == 200
    assert answer.json() == {
        "batchId": sent.json()["batchId"],
        "status": "PENDING",
        "source": "API",
        "receivedAt": "2026-03-15T12:00:00Z",
        "drainedAt": None,
        "events": 3,
        **dict.fromkeys(COUNTS),
        "errors": [{"index": 1, "code": "INVALID_QUANTITY"}],
    }


def test_a_drained_batch_says_what_became_of_its_events(seller):
    sent = seller.count(
        event(1),
        event(2, quantity=-1),
        event(3, customerId="nobody"),
        event(1),
        event(1, quantity=7),
        event("hb", metricName="system.session.heartbeat"),
    )
    assert ask(seller, sent).json() == {
        "batchId": sent.json()["batchId"],
        "status": "DONE",
        "source": "API",
        "receivedAt": "2026-03-15T12:00:00Z",
        "drainedAt": "2026-03-15T12:00:00Z",
        "events": 6,
        "counted": 1,
        "unbilled": 1,
        "duplicates": 1,
        "dead": 3,
        "held": 0,
        "errors": [
            {"index": 1, "code": "INVALID_QUANTITY"},
            {"index": 2, "code": "UNKNOWN_CUSTOMER"},
            {"index": 4, "code": "IDEMPOTENCY_CONFLICT"},
        ],
    }


def test_a_refusal_is_named_in_every_batch_though_its_letter_is_kept_once(seller):
    for _ in range(2):
        sent = seller.count(event(1, customerId="nobody"))
        assert ask(seller, sent).json()["errors"] == [{"index": 0, "code": "UNKNOWN_CUSTOMER"}]


def test_held_events_are_counted(seller):
    seller.count(event(1))
    billed()
    sent = seller.count(event(2))
    assert ask(seller, sent).json()["held"] == 1


def test_an_operator_of_the_tenant_may_ask(seller):
    sent = seller.count(event(1))
    key = OperatorKeyFactory(tenant=seller.tenant, role="MEMBER")
    assert ask(seller, sent, key.secret).status_code == 200


@pytest.mark.parametrize("factory", [ApiKeyFactory, OperatorKeyFactory])
@pytest.mark.parametrize("drained", [True, False])
def test_the_batch_of_another_tenant_is_as_absent_as_none(seller, factory, drained):
    sent = seller.send(event(1))
    if drained:
        seller.drain()
    answer = ask(seller, sent, factory(tenant=TenantFactory()).secret)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("batch_id", [uuid4(), "17", "x" * 200, "%00"])
def test_a_batch_that_never_was_is_404(seller, batch_id):
    answer = seller.client.get(
        f"/v1/ingest/batches/{batch_id}", headers={"Authorization": f"Bearer {seller.token}"}
    )
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_without_an_open_key_nobody_may_ask(seller):
    sent = seller.count(event(1))
    assert ask(seller, sent, "sk_test_wrong").status_code == 401
    ApiKey.objects.update(revoked_at=NOW)
    assert ask(seller, sent).status_code == 401


def test_a_tenant_header_must_agree(seller):
    sent = seller.count(event(1))
    assert ask(seller, sent, **{"X-Tenant-Id": seller.tenant.slug}).status_code == 200
    assert ask(seller, sent, **{"X-Tenant-Id": "another"}).status_code == 403
