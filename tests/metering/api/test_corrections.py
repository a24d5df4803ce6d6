"""Corrections over HTTP: by who keeps the books, with a reason, once."""

from decimal import Decimal

import pytest

from metering.models import Correction, RunningTotal, UsageEvent
from tests.clients import operator_client
from tests.factories import TenantFactory
from tests.metering.events import event, rows

pytestmark = pytest.mark.django_db
WHY = {"reason": "sent twice by a retry of ours"}


@pytest.fixture
def counted(seller):
    seller.count(event(1, metricName="tokens", quantity=100, metadata={"model": "x", "n": 1.5}))
    return rows()[0]


@pytest.fixture
def finance(seller):
    return operator_client(seller.tenant, role="BILLING_ADMIN")


def path(row, act):
    return f"/api/v1/usage-events/{row.pk}/{act}"


def test_an_event_is_voided(counted, finance):
    answer = finance.post(path(counted, "void"), WHY)
    assert answer.status_code == 201
    body = answer.json()
    (part,) = body["corrections"]
    assert (body["kind"], body["replacementKey"], body["replacementIds"]) == ("VOID", "", [])
    assert part == {
        "id": part["id"],
        "kind": "VOID",
        "actionId": part["actionId"],
        "eventId": str(counted.pk),
        "runningTotalId": str(counted.running_total_id),
        "position": 1,
        "voidPosition": 2,
        "idempotencyKey": "key-1",
        "replacementKey": "",
        "reason": WHY["reason"],
        "actorName": part["actorName"],
        "createdAt": "2026-03-15T12:00:00Z",
    }
    assert RunningTotal.objects.get().quantity == 0
    again = finance.post(path(counted, "void"), WHY)
    assert (again.status_code, again.json()["code"]) == (409, "EVENT_TAKEN_BACK")


def test_an_event_is_amended(counted, finance):
    changes = {"quantity": "80.5", "metadata": {"model": "y", "n": 0.1}, "toolName": "search"}
    body = finance.post(path(counted, "amend"), WHY | changes).json()
    new = UsageEvent.objects.get(pk=body["replacementIds"][0])
    assert (body["kind"], body["replacementKey"]) == ("AMEND", f"amend:{counted.pk}")
    assert (new.quantity, new.metadata, new.tool_name) == (
        Decimal("80.5"), '{"model":"y","n":0.1}', "search",
    )  # fmt: skip
    assert (new.occurred_at, new.metric) == (counted.occurred_at, "tokens")
    assert RunningTotal.objects.get().quantity == Decimal("80.5")


def test_corrections_are_listed(counted, finance):
    finance.post(path(counted, "void"), WHY)
    page = finance.get("/api/v1/corrections").json()
    assert (page["totalElements"], page["content"][0]["eventId"]) == (1, str(counted.pk))
    assert finance.get("/api/v1/corrections", {"kind": "AMEND"}).json()["totalElements"] == 0
    one = finance.get(f"/api/v1/corrections/{page['content'][0]['id']}")
    assert one.json()["voidPosition"] == 2


@pytest.mark.parametrize(
    ("act", "body", "code"),
    [
        ("void", {"reason": ""}, "UNPROCESSABLE_ENTITY"),
        ("amend", WHY, "NOTHING_CHANGED"),
        ("amend", WHY | {"quantity": -1}, "INVALID_QUANTITY"),
        ("amend", WHY | {"quantity": "x"}, "UNPROCESSABLE_ENTITY"),
        ("amend", WHY | {"metadata": [1]}, "UNPROCESSABLE_ENTITY"),
        ("amend", WHY | {"customerId": "nobody"}, "UNKNOWN_CUSTOMER"),
    ],
)
def test_what_cannot_be_done_changes_nothing(counted, finance, act, body, code):
    answer = finance.post(path(counted, act), body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (UsageEvent.objects.count(), Correction.objects.count()) == (1, 0)


@pytest.mark.parametrize("role", ["DEVELOPER", "PRODUCT_MANAGER", "MEMBER"])
def test_only_finance_corrects(seller, counted, role):
    client = operator_client(seller.tenant, role=role)
    for act in ("void", "amend"):
        assert client.post(path(counted, act), WHY | {"quantity": 1}).status_code == 403
    assert client.get("/api/v1/corrections").status_code == 200
    assert not Correction.objects.exists()


@pytest.mark.parametrize("act", ["void", "amend"])
def test_another_tenants_event_is_as_absent_as_none(counted, act):
    stranger = operator_client(TenantFactory(), role="OWNER")
    asked = WHY if act == "void" else WHY | {"quantity": 1}
    for event_id in (counted.pk, counted.pk + 1, 2**64):
        answer = stranger.post(f"/api/v1/usage-events/{event_id}/{act}", asked)
        assert answer.status_code == 404
    assert not Correction.objects.exists()
