"""Access checks end to end: what a gateway hears, from Redis alone."""

import json
from datetime import timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo import valkey
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import revoke_key
from aforo.wsgi import application
from catalog.models import BillableUnit, RatePlan, RatePlanVersion, Subscription
from catalog.services import features as services
from catalog.services.features import Grant
from catalog.services.subscription_keys import issue_subscription_key
from catalog.services.subscriptions import cancel_subscription
from metering.entitlements import looking, publishing, state
from metering.entitlements.state import MarginState
from tests.factories import (
    CustomerAliasFactory,
    CustomerFactory,
    FeatureOverrideFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    TenantFactory,
)
from tests.metering.conftest import NOW, TOKEN, catalog_changed, subscribe
from tests.metering.entitlements.conftest import feature_of, hash_of
from tests.metering.events import event

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan(seller):
    return RatePlan.objects.get(tenant=seller.tenant)


@pytest.fixture
def calls(seller):
    return BillableUnit.objects.get(tenant=seller.tenant, name="calls")


def use(seller, *keys, metric="calls"):
    """Count events, and tell as drains do after their commit, which a test has not."""
    seller.count(*(event(idempotencyKey=key, metricName=metric) for key in keys))


def test_features_of_every_kind_are_answered_as_documented(seller, gateway, plan, calls):
    feature_of(seller.tenant, plan, "sso")
    feature_of(seller.tenant, plan, "model", kind="VALUE", value="large")
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=10)
    use(seller, *"abc")
    gateway.sync()
    assert gateway.can_access("api") == {
        "allowed": True,
        "reason": "OK",
        "plan": plan.name,
        "feature": "api",
        "value": None,
        "quota": 10,
        "remaining": 7,
        "remaining_quota": 7,
        "quota_reset": "2026-04-01T00:00:00Z",
        "margin": {"level": "NONE", "percent": None},
        "headers": {},
        "entitlements": {"sso": True, "model": "large", "api": 10},
        "fallback": None,
    }
    sso = gateway.can_access("sso")
    assert (sso["allowed"], sso["reason"], sso["quota"]) == (True, "OK", None)
    assert gateway.can_access("model")["value"] == "large"
    missing = gateway.can_access("gpu")
    assert (missing["allowed"], missing["reason"]) == (False, "FEATURE_NOT_IN_PLAN")
    assert gateway.can_access("sso", customer="nobody")["reason"] == "CUSTOMER_UNKNOWN"
    named = gateway.ask("/v1/canAccess", {"tenantId": "cust_1", "featureKey": "sso"}).json()
    assert named["allowed"]


def test_a_used_up_quota_denies_and_a_nearly_used_one_warns(seller, gateway, plan, calls):
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=5)
    use(seller, *"abc")
    gateway.sync()
    assert gateway.quota("calls", estimatedQuantity=0) == {
        "decision": "ALLOW",
        "reason": "OK",
        "currentUsage": 3,
        "limit": 5,
        "retryAfterMs": None,
        "resetsAt": "2026-04-01T00:00:00Z",
        "tierName": plan.name,
        "headers": {},
        "fallback": None,
    }
    near = gateway.quota("calls")
    assert near["decision"] == "WARN"
    assert near["headers"] == {"X-RateLimit-Warning": "approaching-limit"}
    over = gateway.quota("calls", estimatedQuantity=2.5)
    assert (over["decision"], over["reason"]) == ("DENY", "QUOTA_EXCEEDED")
    use(seller, *"de")
    gateway.sync()
    denied = gateway.can_access("api")
    assert (denied["allowed"], denied["reason"], denied["remaining"]) == (
        False,
        "QUOTA_EXCEEDED",
        0,
    )
    assert gateway.quota("calls")["retryAfterMs"] == 3_600_000
    assert gateway.quota("calls")["headers"] == {"Retry-After": "3600"}
    assert gateway.quota(None)["decision"] == "DENY"
    assert gateway.quota("tokens")["decision"] == "ALLOW"
    assert gateway.quota("never-heard-of")["limit"] is None


def test_a_plan_that_blocks_beyond_its_quota_denies_there(seller, gateway):
    tenant = seller.tenant
    unit = BillableUnit.objects.get(tenant=tenant, name="tokens")
    terms = {"model": "INCLUDED_QUOTA", "includedFree": "100", "ovBehavior": "BLOCK"}
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: terms}, published=True)
    subscribe(tenant, "cust_2", version)
    seller.count(event(customerId="cust_2", metricName="tokens", quantity=100))
    gateway.sync()
    denied = gateway.can_access("tokens", customer="cust_2")
    assert (denied["reason"], denied["quota"]) == ("QUOTA_EXCEEDED", 100)
    assert gateway.can_access("tokens")["quota"] is None


def test_overrides_stand_before_plans_until_they_expire(seller, gateway, plan, calls):
    own = Subscription.objects.get(tenant=seller.tenant)
    trial = feature_of(seller.tenant, RatePlanVersionFactory(tenant=seller.tenant).rate_plan, "x")
    api = feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=1)
    sso = feature_of(seller.tenant, plan, "sso")
    of = {"tenant": seller.tenant, "subscription": own}
    FeatureOverrideFactory(**of, feature=trial, expires_at=NOW + timedelta(minutes=1))
    FeatureOverrideFactory(**of, feature=api, limit=100, expires_at=NOW + timedelta(minutes=1))
    FeatureOverrideFactory(**of, feature=sso, enabled=False)
    gateway.sync()
    assert gateway.can_access("x")["allowed"]
    assert gateway.can_access("api")["quota"] == 100
    assert not gateway.can_access("sso")["allowed"]
    later = NOW + timedelta(minutes=2)
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=later)
    publishing.put_settings(Tenant.objects.get(pk=seller.tenant.pk))  # time alone has passed
    assert gateway.can_access("x")["reason"] == "FEATURE_NOT_IN_PLAN"
    assert gateway.can_access("api")["quota"] == 1


def test_customers_are_known_by_all_their_names(seller, gateway, plan):
    feature_of(seller.tenant, plan, "sso")
    customer = Subscription.objects.get(tenant=seller.tenant).customer
    alias = CustomerAliasFactory(tenant=seller.tenant, customer=customer, label="their-app")
    gateway.sync()
    assert gateway.can_access("sso", customer="their-app")["allowed"]
    assert gateway.can_access("sso", customer=str(customer.pk))["allowed"]
    alias.delete()
    gateway.sync()
    assert gateway.can_access("sso", customer="their-app")["reason"] == "CUSTOMER_UNKNOWN"


def test_margin_guards_are_heard_in_every_answer(seller, gateway, plan, settings):
    feature_of(seller.tenant, plan, "sso")
    gateway.sync()
    states = {
        "L1_ALERT": ("OK", {"X-Margin-Guard-Warning": "margin-low"}),
        "L2_THROTTLE": (
            "OK",
            {
                "X-Aforo-Throttle": "true",
                "X-Margin-Guard": "throttled",
                "X-Margin-Guard-Level": "L2",
            },
        ),
        "L3_BLOCK": (
            "MARGIN_BLOCKED",
            {
                "X-Margin-Guard": "blocked",
                "X-Margin-Guard-Level": "L3",
                "Retry-After": "1800",
            },
        ),
        "NONE": ("OK", {}),
    }
    settings.INTERNAL_LISTENER = True
    quick = "/internal/v1/margin-guard/quick-check?scopeType=CUSTOMER&scopeId=cust_1&tenantId="
    for level, (reason, headers) in states.items():
        guard = MarginState(level, Decimal("4.5"))
        state.put_margin(seller.tenant.pk, {"cust_1": guard}, version=state.reading())
        told = gateway.can_access("sso")
        assert (told["reason"], told["headers"]) == (reason, headers)
        assert told["margin"] == {"level": level, "percent": 4.5}
        assert gateway.quota("calls")["headers"] == headers
        answer = gateway.client.get(quick + seller.tenant.slug).json()
        assert (answer["allowed"], answer["level"]) == (level != "L3_BLOCK", level)
    of_metric = MarginState(by_metric={"calls": MarginState("L3_BLOCK")})
    state.put_margin(seller.tenant.pk, {"cust_1": of_metric}, version=state.reading())
    assert gateway.quota("calls")["reason"] == "MARGIN_BLOCKED"
    assert gateway.quota("tokens")["decision"] == "ALLOW"


def test_a_batch_answers_each_check_in_order(gateway, seller, plan):
    feature_of(seller.tenant, plan, "sso")
    gateway.sync()
    checks = [{"featureKey": "sso"}, {"featureKey": "gpu"}, {"customerId": "x", "featureKey": "a"}]
    body = {"customerId": "cust_1", "checks": checks}
    results = gateway.ask("/v1/canAccess/batch", body).json()["results"]
    assert [one["reason"] for one in results] == ["OK", "FEATURE_NOT_IN_PLAN", "CUSTOMER_UNKNOWN"]
    quotas = {"customerId": "cust_1", "checks": [{"metricName": "calls"}] * 100}
    assert len(gateway.ask("/api/v1/quota/check/batch", quotas).json()["results"]) == 100
    quotas["checks"].append({})
    assert gateway.ask("/api/v1/quota/check/batch", quotas).status_code == 422
    assert gateway.ask("/v1/canAccess/batch", {"checks": checks}).status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ("[]", 422),
        ("{}", 422),
        ('{"customerId":"a"}', 422),
        ('{"customerId":"a","featureKey":"b","quantity":"NaN"}', 422),
        ('{"customerId":"a","featureKey":"b","quantity":1e999999}', 422),
        ('{"customerId":"a","featureKey":"b","quantity":1e-13}', 422),
        ('{"customerId":"a","featureKey":"b","quantity":-1}', 422),
        ('{"customerId":"\\ud800","featureKey":"b"}', 400),
    ],
)
def test_what_is_no_check_is_refused(seller, client, body, status):
    answer = client.post(
        "/v1/canAccess",
        data=body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"


def test_keys_decide_the_tenant_and_the_public_needs_one(seller, gateway, settings):
    gateway.sync()
    other = TenantFactory()
    body = {"customerId": "cust_1", "metricName": "calls"}
    path = "/api/v1/quota/check"
    by_slug = {"X-Tenant-Id": seller.tenant.slug}
    assert gateway.ask(path, body, **by_slug).status_code == 200
    assert gateway.ask(path, body, **{"X-Tenant-Id": other.slug}).status_code == 403
    assert gateway.ask(path, body, Authorization="Bearer sk_live_no").status_code == 401
    assert gateway.ask(path, body, Authorization="", **by_slug).status_code == 401
    quick = f"/internal/v1/margin-guard/quick-check?tenantId={seller.tenant.pk}&scopeId=cust_1"
    assert gateway.client.get(quick).status_code == 404
    settings.INTERNAL_LISTENER = True  # as Kong asks: without any key
    asked = gateway.ask(path, body, Authorization="", **by_slug)
    assert asked.json()["decision"] == "ALLOW"
    assert gateway.client.get(quick).json() == {
        "allowed": True,
        "level": "NONE",
        "throttleRate": 100,
        "requestsPerSecond": None,
        "retryAfterSeconds": 1800,
        "message": "",
        "fallback": None,
    }
    assert gateway.client.get("/v1/canAccess").status_code == 405


def test_no_sql_once_the_key_is_known_and_one_query_when_it_is_not(seller, gateway):
    gateway.sync()
    with CaptureQueriesContext(
        connection,
    ) as first:
        gateway.can_access("calls")
    assert len(first) == 1
    with CaptureQueriesContext(connection) as second:
        gateway.can_access("calls")
        gateway.quota("calls")
    assert len(second) == 0
    looking.forget_everything()  # another process: the entry in Redis is enough
    with CaptureQueriesContext(connection) as third:
        gateway.can_access("calls")
    assert len(third) == 0


def test_the_web_server_is_answered_before_django(seller, gateway, monkeypatch):
    gateway.sync()
    body = json.dumps({"customerId": "cust_1", "featureKey": "calls"}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/canAccess",
        "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
        "HTTP_X_REQUEST_ID": "their-own",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    told = []
    parts = application(environ, lambda status, headers: told.append((status, dict(headers))))
    assert json.loads(b"".join(parts))["allowed"] is True
    ((status, headers),) = told
    assert (status, headers["X-Request-Id"]) == ("200 OK", "their-own")


def test_without_redis_answers_are_as_the_tenant_wants_and_say_so(seller, gateway, redis_down):
    looking.forget_everything()
    told = gateway.can_access("anything")
    assert (told["allowed"], told["reason"], told["fallback"]) == (True, "UNAVAILABLE", "OPEN")
    assert gateway.quota("calls")["decision"] == "ALLOW"
    Tenant.objects.filter(pk=seller.tenant.pk).update(access_fallback="CLOSED")
    told = gateway.can_access("anything")
    assert (told["allowed"], told["reason"], told["fallback"]) == (False, "UNAVAILABLE", "CLOSED")
    assert gateway.quota("calls")["decision"] == "DENY"
    ApiKey.objects.filter(tenant=seller.tenant).update(revoked_at=NOW)
    assert gateway.ask("/v1/canAccess", {}).status_code == 422
    body = {"customerId": "cust_1", "featureKey": "calls"}
    assert gateway.ask("/v1/canAccess", body).status_code == 401


def test_a_flushed_redis_is_whole_again_after_one_sync(seller, gateway, plan, calls):
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=3)
    use(seller, *"ab")
    gateway.sync()
    before = gateway.can_access("api")
    kept = hash_of(seller.tenant)
    for key in valkey.client().scan_iter(f"access*{seller.tenant.pk}*"):
        valkey.client().delete(key)
    blind = gateway.can_access("api")
    assert (blind["allowed"], blind["fallback"]) == (True, "OPEN")
    gateway.sync()
    assert gateway.can_access("api") == before
    found = hash_of(seller.tenant)
    assert found.keys() == kept.keys()


def test_a_sync_replaces_whatever_redis_holds_in_whatever_version(seller, gateway, calls, plan):
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=3)
    use(seller, *"ab")
    gateway.sync()
    key = state.key_of(seller.tenant.pk, "cust_1")
    top = "9007199254740991:9007199254740991"
    for field in hash_of(seller.tenant):
        wrong = f"{top} 77 0" if field.startswith(b"u:") else "9:9 \xc1"
        valkey.client().hset(key, field, wrong)
    valkey.client().hset(state.known_key(seller.tenant.pk), "cust_1", f"{top} ")
    valkey.client().delete(state.names_key(seller.tenant.pk))
    gateway.sync()
    assert gateway.can_access("api")["remaining"] == 1
    customer = Subscription.objects.get(tenant=seller.tenant).customer
    assert gateway.can_access("api", customer=str(customer.pk))["remaining"] == 1


def test_inactive_subscriptions_let_nobody_in(seller, gateway):
    gateway.sync()
    assert gateway.can_access("calls")["allowed"]
    for inactive in ("SUSPENDED", "PAUSED", "EXPIRED", "CANCELLED"):
        Subscription.objects.filter(tenant=seller.tenant).update(state=inactive)
        gateway.sync()
        assert gateway.can_access("calls")["reason"] == "SUBSCRIPTION_INACTIVE"


@pytest.mark.django_db(transaction=True)
def test_what_is_revoked_cancelled_granted_or_used_is_seen_at_once(seller, gateway, plan, calls):
    """Without any sync in between: drains and changes tell Redis after their commit."""
    gateway.sync()
    actor = Actor.system("tests")
    feature = services.create_feature(
        tenant=seller.tenant, actor=actor, now=NOW, key="api", kind="LIMIT", unit=calls
    )
    own = Subscription.objects.get(tenant=seller.tenant)
    services.override(
        subscription=own, feature=feature, grant=Grant(Decimal(2)), actor=actor, now=NOW
    )
    assert gateway.can_access("api")["remaining"] == 2
    use(seller, "a")
    assert gateway.can_access("api")["remaining"] == 1
    use(seller, "b")
    assert gateway.can_access("api")["reason"] == "QUOTA_EXCEEDED"
    cancel_subscription(subscription=own, actor=actor, now=NOW, at=NOW)
    assert gateway.can_access("api")["reason"] == "SUBSCRIPTION_INACTIVE"
    revoke_key(key=ApiKey.objects.get(tenant=seller.tenant), actor=actor, now=NOW)
    body = {"customerId": "cust_1", "featureKey": "api"}
    assert gateway.ask("/v1/canAccess", body).status_code == 401


def test_another_tenants_customers_are_unknown(seller, gateway):
    theirs = CustomerFactory(external_id="theirs")
    publishing.sync_tenant(theirs.tenant, now=NOW)
    gateway.sync()
    assert gateway.can_access("x", customer="theirs")["reason"] == "CUSTOMER_UNKNOWN"
    assert gateway.can_access("x", customer=str(theirs.pk))["reason"] == "CUSTOMER_UNKNOWN"


def test_a_limit_that_is_switched_off_lets_nothing_pass(seller, gateway, plan, calls):
    own = Subscription.objects.get(tenant=seller.tenant)
    api = feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=calls, limit=10)
    of = {"tenant": seller.tenant, "subscription": own, "enabled": False}
    FeatureOverrideFactory(**of, feature=api, expires_at=NOW + timedelta(minutes=1))
    gateway.sync()
    assert gateway.can_access("api")["reason"] == "FEATURE_NOT_IN_PLAN"
    for asked in (gateway.quota("calls"), gateway.quota("calls", estimatedQuantity=0)):
        assert (asked["decision"], asked["limit"]) == ("DENY", 0)
    assert gateway.can_access("calls")["reason"] == "QUOTA_EXCEEDED"
    assert gateway.quota("tokens")["decision"] == "ALLOW"
    feature_of(seller.tenant, plan, "burst", kind="LIMIT", unit=calls, limit=2)
    gateway.sync()  # what is switched on holds alone
    assert (gateway.quota("calls")["decision"], gateway.quota("calls")["limit"]) == ("ALLOW", 2)


def test_a_key_of_a_paused_subscription_opens_what_another_one_grants(seller, gateway, plan):
    """It says who asks; that customer may do what all of its subscriptions let it."""
    feature_of(seller.tenant, plan, "sso")
    own = Subscription.objects.get(tenant=seller.tenant)
    _, text = issue_subscription_key(
        subscription=own, name="app", actor=Actor.system("test"), now=NOW
    )
    Subscription.objects.filter(pk=own.pk).update(state="PAUSED")

    def asked():
        gateway.sync()
        body = {"customerId": "cust_1", "featureKey": "sso"}
        return gateway.ask("/v1/canAccess", body, Authorization=f"Bearer {text}").json()["reason"]

    assert asked() == "SUBSCRIPTION_INACTIVE"
    version = RatePlanVersion.objects.get(tenant=seller.tenant)
    SubscriptionFactory(tenant=seller.tenant, customer=own.customer, versions=[version], months=2)
    catalog_changed(seller.tenant)
    assert asked() == "OK"
