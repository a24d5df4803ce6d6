"""Cancelling is answered with success only when no access check says yes any more."""

import json

import pytest

from aforo import valkey
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import ApiKey
from catalog.models import Subscription, SubscriptionKey
from tests.factories import OperatorKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)
AWAY = "redis://127.0.0.1:1/0"
BODY = {"customerId": "cust_1", "featureKey": "calls"}


def test_a_cancellation_that_access_checks_did_not_hear_of_is_repeated(
    seller, gateway, client, settings
):
    text = OperatorKeyFactory(tenant=seller.tenant, role="ADMIN").secret
    own = Subscription.objects.get(tenant=seller.tenant)
    key = ApiKey.objects.get(tenant=seller.tenant, kind="METERING")
    SubscriptionKey.objects.create(tenant=seller.tenant, subscription=own, key=key)
    gateway.sync()
    assert gateway.can_access("calls")["allowed"]  # from now on Redis knows the key as well

    def cancel():
        headers = {"Authorization": f"Bearer {text}"}
        path = f"/api/v1/subscriptions/{own.pk}/cancel"
        return client.post(path, json.dumps({}), "application/json", headers=headers).status_code

    url, settings.REDIS_URL = settings.REDIS_URL, AWAY
    valkey.client.cache_clear()
    assert cancel() == 503
    assert cancel() == 503
    own.refresh_from_db()
    assert own.state == "CANCELLED"
    settings.REDIS_URL = url
    valkey.client.cache_clear()
    assert cancel() == 200
    assert gateway.ask("/v1/canAccess", BODY).status_code == 401
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=None)
    valkey.client().delete(*valkey.client().scan_iter("key:*"))
    assert gateway.can_access("calls")["reason"] == "SUBSCRIPTION_INACTIVE"
    told = OutboxMessage.objects.filter(tenant=seller.tenant, fact="subscription.cancelled")
    assert told.count() == 1
