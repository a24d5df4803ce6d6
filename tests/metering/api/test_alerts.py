"""Alerts over HTTP and in the admin: listed, filtered, acknowledged by whoever may."""

import pytest
from django.urls import reverse

from metering.models import Alert
from tests.clients import operator_client
from tests.factories import (
    NOW,
    AlertFactory,
    CustomerFactory,
    MemberFactory,
    SandboxFactory,
    UserFactory,
)

EVIDENCE = {
    "numbers": {"value": "700", "mean": "100"},
    "events": {"firstId": 11, "lastId": 99, "count": 7},
    "chart": {"labels": ["11:00", "12:00"], "values": [100, 700], "highlight": 1},
}


@pytest.fixture
def tenant(db):
    return SandboxFactory(clock_frozen_at=NOW)


def test_alerts_are_listed_newest_first_and_filtered(tenant):
    customer = CustomerFactory(tenant=tenant, external_id="cust_1")
    first = AlertFactory(tenant=tenant, customer=customer, evidence=EVIDENCE)
    second = AlertFactory(tenant=tenant, kind="USAGE_DROP", severity="CRITICAL")
    AlertFactory()
    client = operator_client(tenant, role="MEMBER")

    def ids(**asked):
        return [row["id"] for row in client.get("/api/v1/alerts", asked).json()["content"]]

    assert ids() == [str(second.pk), str(first.pk)]
    assert ids(kind="USAGE_DROP") == ids(severity="CRITICAL") == [str(second.pk)]
    assert ids(customerId="cust_1") == [str(first.pk)]
    assert ids(state="RECOVERED") == ids(acknowledged="true") == []
    assert len(ids(acknowledged="false", raisedUntil="2026-03-15T12:00:01Z")) == 2

    one = client.get(f"/api/v1/alerts/{first.pk}").json()["data"]
    assert (one["customerId"], one["unit"], one["evidence"]) == ("cust_1", None, EVIDENCE)


def test_who_may_acknowledges_with_a_reason(tenant):
    alert = AlertFactory(tenant=tenant)
    route = f"/api/v1/alerts/{alert.pk}/acknowledge"
    reason = {"reason": "a launch"}
    assert operator_client(tenant, role="MEMBER").post(route, reason).status_code == 403
    client = operator_client(tenant, role="DEVELOPER")
    assert client.post(route, {"reason": ""}).status_code == 422
    answer = client.post(route, reason).json()["data"]
    assert (answer["reason"], answer["state"]) == ("a launch", "OPEN")
    assert answer["acknowledgedAt"] == "2026-03-15T12:00:00Z"
    again = client.post(route, {"reason": "another"}).json()["data"]
    assert again["reason"] == "a launch"


def test_the_admin_shows_the_evidence_and_takes_a_reason(tenant, client):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role="BILLING_ADMIN")
    client.force_login(user)
    alert = AlertFactory(tenant=tenant, evidence=EVIDENCE)
    theirs = AlertFactory()

    listed = client.get(reverse("admin:metering_alert_changelist"))
    assert (listed.status_code, b"usage is unusual" in listed.content) == (200, True)
    page = client.get(reverse("admin:metering_alert_change", args=[alert.pk])).content.decode()
    assert "<canvas" in page
    assert "7 events" in page
    assert "700" in page

    changelist = reverse("admin:metering_alert_changelist")
    asked = client.post(changelist, {"action": "acknowledge", "_selected_action": [alert.pk]})
    assert asked.status_code == 200
    acknowledge = reverse("admin:metering_alert_acknowledge")
    ids = f"{alert.pk} {theirs.pk}"
    assert client.post(acknowledge, {"ids": ids, "reason": ""}).status_code == 200
    assert client.post(acknowledge, {"ids": ids, "reason": "known"}).status_code == 302
    assert set(Alert.objects.values_list("acknowledged_by", "reason")) == {
        (user.username, "known"),
        ("", ""),
    }
