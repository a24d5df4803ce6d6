"""Margin quick checks of many customers at once, and what the log says of answers."""

import json

import pytest
from structlog.testing import capture_logs

from aforo import valkey
from metering.entitlements import state
from metering.entitlements.state import MarginState
from tests.factories import CustomerFactory, TenantFactory
from tests.metering.entitlements.conftest import Gateway, gateway

__all__ = ["gateway"]
pytestmark = pytest.mark.django_db

BATCH = "/internal/v1/margin-guard/quick-check/batch"
TOLD = {"access_answered", "margin_guard_answered"}


@pytest.fixture
def check(gateway, settings):
    settings.INTERNAL_LISTENER = True
    gateway.sync()

    def check(*checks, path=BATCH, **members):
        body = {"tenantId": gateway.tenant.slug, "checks": list(checks)} | members
        return gateway.client.post(path, json.dumps(body), content_type="application/json")

    return check


def put(tenant, customer, level, **more):
    put_at = state.reading()
    state.put_margin(tenant.pk, {customer: MarginState(level, **more)}, version=put_at)


def test_up_to_100_customers_are_checked_at_once_in_their_order(gateway, check):
    tenant = gateway.tenant
    CustomerFactory(tenant=tenant, external_id="cust_2")
    gateway.sync()
    by_metric = {"tokens": MarginState("L3_BLOCK", message="tokens cost too much")}
    put(tenant, "cust_2", "L2_THROTTLE", throttle_rate=40, by_metric=by_metric)
    answer = check(
        {"scopeId": "cust_2"},
        {"scopeId": "cust_1", "scopeType": "CUSTOMER"},
        {"scopeId": "cust_2", "metricName": "tokens"},
        {"scopeId": "cust_2", "metricName": "calls"},
        {"scopeId": "nobody"},
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["level"] for one in results] == [
        "L3_BLOCK",
        "NONE",
        "L3_BLOCK",
        "L2_THROTTLE",
        "NONE",
    ]
    single = f"{BATCH.removesuffix('/batch')}?tenantId={tenant.pk}&scopeId=cust_2"
    assert gateway.client.get(single).json() == results[0] == results[2]
    assert (results[3]["allowed"], results[3]["throttleRate"]) == (True, 40)
    assert (results[2]["allowed"], results[2]["message"]) == (False, "tokens cost too much")

    refused = [
        check(),
        check(*[{"scopeId": "cust_1"}] * 101),
        check({"metricName": "tokens"}),
        check({"scopeId": "cust_1", "scopeType": "PLAN"}),
        check({"scopeId": "cust_1"}, tenantId=None),
    ]
    assert [one.status_code for one in refused] == [422] * 5
    unknown = [check({"scopeId": "cust_1"}, tenantId=name) for name in ("nobody", "no\x00body")]
    assert [one.status_code for one in unknown] == [404] * 2
    assert check({"scopeId": "cust\x001"}).json()["results"] == [results[4]]
    assert check(*[{"scopeId": "cust_1"}] * 100).json()["results"] == [results[1]] * 100


def test_a_batch_sees_one_tenant_and_is_not_there_for_the_public(gateway, check, settings):
    put(gateway.tenant, "cust_1", "L3_BLOCK")
    other = TenantFactory()
    CustomerFactory(tenant=other, external_id="cust_1")
    Gateway(gateway.client, other).sync()
    (mine,) = check({"scopeId": "cust_1"}).json()["results"]
    (theirs,) = check({"scopeId": "cust_1"}, tenantId=other.slug).json()["results"]
    assert (mine["level"], theirs["level"]) == ("L3_BLOCK", "NONE")
    assert check({"scopeId": "cust_1"}, tenantId="no-such-tenant").status_code == 404
    settings.INTERNAL_LISTENER = False
    assert check({"scopeId": "cust_1"}).status_code == 404


def test_answers_that_are_no_plain_yes_are_told_and_plain_ones_are_not(gateway, check):
    def told():
        with capture_logs() as lines:
            gateway.can_access("calls")
            gateway.quota("calls")
            check({"scopeId": "cust_1"})
        return [line for line in lines if line["event"] in TOLD]

    assert told() == []
    put(gateway.tenant, "cust_1", "L1_ALERT")
    assert [(line["event"], line.get("margin", line["reason"])) for line in told()] == [
        ("access_answered", "L1_ALERT"),
        ("access_answered", "L1_ALERT"),
        ("margin_guard_answered", "L1_ALERT"),
    ]
    put(gateway.tenant, "cust_1", "L3_BLOCK")
    assert [line["reason"] for line in told()] == [
        "MARGIN_BLOCKED",
        "MARGIN_BLOCKED",
        "L3_BLOCK",
    ]
    valkey.client().flushdb()  # whatever is not known is no plain yes
    unknown = told()
    assert [line["reason"] for line in unknown] == ["UNAVAILABLE"] * 3
    assert all(line["tenant"] == gateway.tenant.slug and line["request_id"] for line in unknown)
