"""Held events over HTTP: found, accepted, waived, by who may."""

import pytest

from aforo.tenancy.models import AuditEntry
from metering.models import HeldEvent, UsageEvent
from tests.clients import operator_client
from tests.factories import TenantFactory
from tests.metering.events import billed, event

pytestmark = pytest.mark.django_db
PATH = "/api/v1/held-events"
WHY = {"reason": "agreed with the customer"}


@pytest.fixture
def held(seller):
    """Three held events of calls, newest last."""
    seller.count(event("first"))
    billed()
    for number in (1, 2, 3):
        seller.count(event(number, quantity=f"{number}.50"))
    return list(HeldEvent.objects.order_by("id"))


@pytest.fixture
def finance(seller):
    return operator_client(seller.tenant, role="BILLING_ADMIN")


def test_held_events_are_listed_newest_first(held, finance):
    page = finance.get(PATH).json()
    assert page["totalElements"] == 3
    newest = page["content"][0]
    assert newest == {
        "id": str(held[2].id),
        "status": "WAITING",
        "customerId": str(held[2].customer_id),
        "unitId": str(held[2].unit_id),
        "runningTotalId": str(held[2].running_total_id),
        "idempotencyKey": "key-3",
        "metric": "calls",
        "quantity": "3.5",
        "occurredAt": "2026-03-15T11:00:00Z",
        "receivedAt": "2026-03-15T12:00:00Z",
        "source": "API",
        "batchId": str(held[2].batch_id),
        "batchIndex": 0,
        "decidedAt": None,
        "decidedBy": "",
        "reason": "",
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status": "WAITING"}, 3),
        ({"status": "ACCEPTED"}, 0),
        ({"customerId": "cust_1"}, 3),
        ({"customerId": "cust_2"}, 0),
        ({"metric": "calls"}, 3),
        ({"idempotencyKey": "key-2"}, 1),
        ({"receivedFrom": "2026-03-15T12:00:00Z"}, 3),
        ({"receivedUntil": "2026-03-15T12:00:00Z"}, 0),
    ],
)
def test_they_are_found_by_what_they_are(held, finance, query, count):
    assert finance.get(PATH, query).json()["totalElements"] == count


def test_one_is_accepted_and_another_waived(held, finance):
    accepted = finance.post(f"{PATH}/{held[0].id}/accept", WHY)
    waived = finance.post(f"{PATH}/{held[1].id}/waive", WHY)
    assert (accepted.status_code, waived.status_code) == (200, 200)
    assert (accepted.json()["status"], waived.json()["status"]) == ("ACCEPTED", "WAIVED")
    assert accepted.json()["reason"] == WHY["reason"]
    assert accepted.json()["decidedAt"] == "2026-03-15T12:00:00Z"
    assert UsageEvent.objects.count() == 2
    again = finance.post(f"{PATH}/{held[0].id}/accept", WHY)
    assert (again.status_code, again.json()["status"]) == (200, "ACCEPTED")
    other = finance.post(f"{PATH}/{held[0].id}/waive", WHY)
    assert (other.status_code, other.json()["code"]) == (409, "HELD_EVENT_DECIDED")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}])
def test_a_reason_is_demanded(held, finance, body):
    for path in (f"{held[0].id}/accept", f"{held[0].id}/waive"):
        assert finance.post(f"{PATH}/{path}", body).status_code in {400, 422}
    assert HeldEvent.objects.filter(status="WAITING").count() == 3


@pytest.mark.parametrize("role", ["DEVELOPER", "PRODUCT_MANAGER", "MEMBER"])
def test_only_finance_decides(seller, held, role):
    client = operator_client(seller.tenant, role=role)
    assert client.get(PATH).status_code == 200
    for path in (f"{held[0].id}/accept", f"{held[0].id}/waive", "accept", "waive"):
        assert client.post(f"{PATH}/{path}", {**WHY, "filter": {}}).status_code == 403
    assert HeldEvent.objects.filter(status="WAITING").count() == 3


def test_many_are_decided_by_id_or_by_filter(held, finance):
    ids = [str(held[0].id), str(held[0].id)]
    accepted = finance.post(f"{PATH}/accept", {**WHY, "ids": ids})
    assert accepted.json()["decided"] == 1
    waived = finance.post(f"{PATH}/waive", {**WHY, "filter": {"customerId": "cust_1"}})
    assert waived.json()["decided"] == 2
    assert finance.post(f"{PATH}/waive", {**WHY, "filter": {}}).json()["decided"] == 0
    assert AuditEntry.objects.filter(action__startswith="HELD_EVENT").count() == 3


@pytest.mark.parametrize(
    "chosen", [{}, {"ids": ["00000000-0000-7000-8000-000000000001"], "filter": {}}, {"ids": []}]
)
def test_many_are_named_in_one_way(held, finance, chosen):
    assert finance.post(f"{PATH}/accept", {**WHY, **chosen}).status_code == 422
    assert HeldEvent.objects.filter(status="WAITING").count() == 3


def test_a_misspelt_criterion_decides_nothing(held, finance):
    for body in ({"filter": {"customer": "cust_9"}}, {"filter": {}, "customerId": "cust_9"}):
        refused = finance.post(f"{PATH}/accept", {**WHY, **body})
        assert refused.status_code == 422, body
        assert refused.json()["errors"][0]["code"] == "UNKNOWN"
    assert HeldEvent.objects.filter(status="WAITING").count() == 3


def test_nobody_decides_many_of_another_tenant(held):
    stranger = operator_client(TenantFactory(), role="OWNER")
    for chosen in ({"ids": [str(held[0].id)]}, {"filter": {"customerId": "cust_1"}}):
        assert stranger.post(f"{PATH}/accept", {**WHY, **chosen}).json()["decided"] == 0
    assert HeldEvent.objects.filter(status="WAITING").count() == 3
