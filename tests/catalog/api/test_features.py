"""Features over HTTP: made, granted to plans at once, overridden for one subscription."""

import pytest

from aforo.tenancy.models import AuditEntry
from catalog.models import FeatureOverride, PlanFeature
from tests.clients import operator_client
from tests.factories import (
    BillableUnitFactory,
    FeatureFactory,
    PlanFeatureFactory,
    RatePlanFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db
URL = "/api/v1/features"


@pytest.fixture
def client(tenant):
    return operator_client(tenant)


def test_features_of_each_kind_are_made_listed_renamed_and_archived(client, tenant):
    unit = BillableUnitFactory(tenant=tenant, name="calls")
    made = client.post(URL, {"key": "sso", "name": "Single sign-on"})
    assert made.status_code == 201, made.json()
    assert (made.json()["kind"], made.json()["metricId"]) == ("BOOLEAN", None)
    limit = client.post(URL, {"key": "calls", "kind": "LIMIT", "metricId": str(unit.id)})
    assert limit.json()["metricName"] == "calls"
    assert client.post(URL, {"key": "tier", "kind": "VALUE"}).status_code == 201
    assert client.post(URL, {"key": "sso"}).status_code == 409
    one = f"{URL}/{made.json()['id']}"
    assert client.patch(one, {"description": "by SAML"}).json()["description"] == "by SAML"
    assert client.delete(one).status_code == 204
    shown = client.get(f"{URL}?archived=false").json()
    assert [row["key"] for row in shown["content"]] == ["calls", "tier"]
    actions = AuditEntry.objects.for_tenant(tenant).values_list("action", flat=True)
    assert {"FEATURE_CREATED", "FEATURE_UPDATED", "FEATURE_ARCHIVED"} <= set(actions)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "a b"}, "key"),
        ({"key": "-x"}, "key"),
        ({"key": "x", "kind": "LIMIT"}, "metricId"),
        ({"key": "x", "kind": "SWITCH"}, "kind"),
    ],
)
def test_what_is_no_feature_is_refused(client, tenant, body, field):
    answer = client.post(URL, body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_plans_get_features_and_lose_them(client, tenant):
    plan = RatePlanFactory(tenant=tenant)
    unit = BillableUnitFactory(tenant=tenant)
    FeatureFactory(tenant=tenant, key="calls", kind="LIMIT", unit=unit)
    FeatureFactory(tenant=tenant, key="tier", kind="VALUE")
    url = f"/api/v1/rateplans/{plan.id}/features"
    put = client.put(f"{url}/calls", {"limit": 1000})
    assert put.status_code == 200, put.json()
    assert put.json()["limit"] == "1000"
    assert client.put(f"{url}/calls", {"limit": 2000.5}).json()["limit"] == "2000.5"
    assert client.put(f"{url}/tier", {"value": "large"}).json()["value"] == "large"
    shown = client.get(url).json()
    assert [(row["featureKey"], row["limit"]) for row in shown["content"]] == [
        ("calls", "2000.5"),
        ("tier", None),
    ]
    assert client.put(f"{url}/tier", {}).status_code == 422  # a VALUE says which
    assert client.put(f"{url}/tier", {"value": "x", "limit": 1}).status_code == 422
    assert client.put(f"{url}/none", {}).status_code == 404
    assert client.delete(f"{url}/calls").status_code == 204
    assert client.delete(f"{url}/calls").status_code == 204
    assert PlanFeature.objects.for_tenant(tenant).count() == 1
    entry = AuditEntry.objects.for_tenant(tenant).filter(action="PLAN_FEATURE_GRANTED")[1]
    assert entry.changes["calls.limit"] == {"before": "1000", "after": "2000.5"}


def test_a_subscription_has_otherwise_for_a_while(client, tenant):
    subscription = SubscriptionFactory(tenant=tenant)
    FeatureFactory(tenant=tenant, key="sso")
    url = f"/api/v1/subscriptions/{subscription.id}/features"
    body = {"expiresAt": "2090-01-01T00:00:00Z", "reason": "trial of two weeks"}
    put = client.put(f"{url}/sso", body)
    assert put.status_code == 200, put.json()
    assert (put.json()["enabled"], put.json()["reason"]) == (True, "trial of two weeks")
    assert put.json()["expiresAt"] == "2090-01-01T00:00:00Z"
    assert client.put(f"{url}/sso", {"enabled": False}).json()["expiresAt"] is None
    assert len(client.get(url).json()["content"]) == 1
    assert client.put(f"{url}/sso", {"expiresAt": "2020-01-01T00:00:00Z"}).status_code == 422
    assert client.delete(f"{url}/sso").status_code == 204
    assert client.delete(f"{url}/sso").status_code == 404
    assert not FeatureOverride.objects.for_tenant(tenant).exists()


def test_roles_that_may_not_change_the_catalog_grant_nothing(tenant):
    granted = PlanFeatureFactory(tenant=tenant)
    client = operator_client(tenant, role="BILLING_ADMIN")
    url = f"/api/v1/rateplans/{granted.rate_plan_id}/features/{granted.feature.key}"
    assert client.delete(url).status_code == 403
    assert client.post(URL, {"key": "sso"}).status_code == 403
    assert PlanFeature.objects.for_tenant(tenant).exists()
