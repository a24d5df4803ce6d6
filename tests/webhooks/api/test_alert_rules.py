"""Alert rules and the wishes of customers over HTTP."""

from datetime import timedelta

import pytest

from aforo.tenancy.models import AuditEntry
from tests.clients import operator_client
from tests.factories import CustomerFactory, TenantFactory
from webhooks.models import AlertRule, CustomerPreference

PATH = "/api/v1/alert-rules"
WISHES = "/api/v1/customer-preferences"
ASKED = {
    "name": "Large invoice",
    "severity": "ERROR",
    "fact": "invoice.finalized",
    "conditions": [{"path": "$.total", "operator": "AT_LEAST", "value": "1000"}],
    "channels": ["EMAIL"],
    "cooldownSeconds": 60,
}


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


def test_a_rule_is_made_changed_and_removed(client):
    made = client.post(PATH, ASKED)
    assert made.status_code == 201
    own = f"{PATH}/{made.json()['id']}"
    assert ASKED.items() <= client.get(own).json().items()
    changed = client.patch(own, {"cooldownSeconds": 0, "conditions": []}).json()
    assert (changed["cooldownSeconds"], changed["conditions"]) == (0, [])
    assert AlertRule.objects.get().cooldown == timedelta()
    assert client.delete(own).status_code == 200
    assert client.get(PATH).json()["content"] == []
    assert AuditEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({"fact": "made.up"}, "fact"),
        ({"fact": "alert.fired"}, "fact"),
        ({"conditions": [{"path": "$.[", "operator": "EXISTS"}]}, "conditions[0]"),
        ({"conditions": [{"path": "$.n", "operator": "LESS", "value": "x"}]}, "conditions[0]"),
        ({"channels": []}, "channels"),
    ],
)
def test_what_can_never_alert_is_refused(client, edit, field):
    answer = client.post(PATH, ASKED | edit)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert not AlertRule.objects.exists()


def test_a_wish_replaces_the_one_before(client, tenant):
    CustomerFactory(tenant=tenant, external_id="cust_1")
    asked = {"customerId": "cust_1", "channels": ["SLACK"], "cooldownSeconds": 3600}
    first = client.post(WISHES, asked)
    assert first.status_code == 201
    again = client.post(WISHES, asked | {"channels": []}).json()
    assert (again["id"], again["channels"]) == (first.json()["id"], [])
    other = client.post(WISHES, {"customerId": "cust_1", "fact": "usage.dropped", "channels": []})
    assert other.json()["cooldownSeconds"] is None
    assert CustomerPreference.objects.count() == 2
    assert client.delete(f"{WISHES}/{again['id']}").status_code == 204
    assert client.post(WISHES, {"customerId": "nobody", "channels": []}).status_code == 422
