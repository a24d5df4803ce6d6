"""A tenant whose plan has features, with everything that answers access checks in place."""

import json

import pytest

from aforo import valkey
from aforo.tenancy.models import Tenant
from metering.entitlements import publishing, state
from tests.factories import (
    FeatureFactory,
    PlanFeatureFactory,
)
from tests.metering.conftest import NOW, TOKEN


class Gateway:
    """Somebody who asks before it serves."""

    def __init__(self, client, tenant):
        self.client, self.tenant = client, tenant

    def ask(self, path, body, **headers):
        brought = {"Authorization": f"Bearer {TOKEN}"} | headers
        return self.client.post(
            path, data=json.dumps(body), content_type="application/json", headers=brought
        )

    def can_access(self, feature, customer="cust_1", **more):
        answer = self.ask("/v1/canAccess", {"customerId": customer, "featureKey": feature, **more})
        assert answer.status_code == 200, answer.content
        return answer.json()

    def quota(self, metric, customer="cust_1", **more):
        body = {"customerId": customer, "metricName": metric, **more}
        answer = self.ask("/api/v1/quota/check", body)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def sync(self):
        """As Beat does every 30 seconds."""
        return publishing.sync_tenant(Tenant.objects.get(pk=self.tenant.pk), now=NOW)


@pytest.fixture
def gateway(seller, client):
    return Gateway(client, seller.tenant)


def feature_of(tenant, plan, key, kind="BOOLEAN", unit=None, **grant):
    """A feature that everybody on a plan has."""
    feature = FeatureFactory(tenant=tenant, key=key, kind=kind, unit=unit)
    PlanFeatureFactory(tenant=tenant, rate_plan=plan, feature=feature, **grant)
    return feature


def hash_of(tenant, customer="cust_1"):
    return valkey.client().hgetall(state.key_of(tenant.pk, customer))
