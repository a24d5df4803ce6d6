"""An edge answers as the web process does, and what it has read outlives Redis."""

from collections import OrderedDict

import pytest
from structlog.testing import capture_logs

from aforo import valkey
from aforo.edge import line, looking, memory
from aforo.edge.memory import Read, recall, remember
from aforo.tenancy.key_entries import ENTRIES_WHOLE, REVOCATIONS, entry_of
from aforo.tenancy.models import ApiKey
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import revoke_key
from catalog.models import BillableUnit, Customer, RatePlan, Subscription
from catalog.services.subscription_keys import issue_subscription_key
from metering.entitlements import publishing
from metering.services.key_entries import publish_entries
from tests.factories import CustomerAliasFactory, TenantFactory
from tests.metering.conftest import NOW, subscribe
from tests.metering.entitlements.conftest import feature_of
from tests.waiting import eventually

pytestmark = pytest.mark.django_db

QUICK = "/internal/v1/margin-guard/quick-check"


@pytest.fixture
def limited(seller):
    plan = RatePlan.objects.get(tenant=seller.tenant)
    unit = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=unit, limit=10)


@pytest.fixture
def away(monkeypatch):
    """Redis refuses every question, as if its host were gone."""

    def refuse(self, question):
        raise line.Away

    return lambda: monkeypatch.setattr(line.Line, "_asked", refuse)


def test_an_edge_answers_what_the_web_process_answers(limited, seller, gateway, beside):
    edge = beside(is_internal=True)
    feature = {"customerId": "cust_1", "featureKey": "api"}
    quota = {"customerId": "cust_1", "metricName": "calls"}
    status, _, answer = edge.ask("/v1/canAccess", feature)
    assert (status, answer) == (200, gateway.can_access("api"))
    assert (answer["reason"], answer["quota"]) == ("OK", 10)
    assert edge.ask("/api/v1/quota/check", quota)[2] == gateway.quota("calls")
    batch = {"checks": [feature, feature | {"customerId": "nobody"}]}
    results = edge.ask("/v1/canAccess/batch", batch)[2]["results"]
    assert [one["reason"] for one in results] == ["OK", "CUSTOMER_UNKNOWN"]
    assert len(edge.ask("/api/v1/quota/check/batch", {"checks": [quota] * 3})[2]["results"]) == 3

    edge.put_margin("L2_THROTTLE", throttle_rate=40)
    named = f"tenantId={seller.tenant.slug}&scopeId=cust_1"
    assert edge.call(QUICK, query=named)[2]["throttleRate"] == 40
    many = {"tenantId": str(seller.tenant.pk), "checks": [{"scopeId": "cust_1"}]}
    assert edge.call(f"{QUICK}/batch", many)[2]["results"][0]["level"] == "L2_THROTTLE"
    by_name = edge.call("/api/v1/quota/check", quota, x_tenant_id=seller.tenant.slug)
    assert by_name[1]["X-Request-Id"]
    assert by_name[2]["headers"]["X-Aforo-Throttle"] == "true"


def test_keys_decide_the_tenant_and_only_internal_edges_need_none(seller, beside):
    edge, other = beside(gateway_tokens=("t0",)), TenantFactory()
    body = {"customerId": "cust_1", "metricName": "calls"}
    path = "/api/v1/quota/check"
    assert edge.ask(path, body, x_tenant_id=str(seller.tenant.pk))[0] == 200
    assert edge.ask(path, body, x_tenant_id=other.slug)[0] == 403
    assert edge.call(path, body, x_tenant_id=seller.tenant.slug)[0] == 401
    unknown = edge.ask(path, body, authorization="Bearer sk_live_no")
    assert (unknown[0], unknown[1]["WWW-Authenticate"]) == (401, "Bearer")
    assert edge.call(QUICK, query="tenantId=x&scopeId=y")[0] == 404
    named = {"x_tenant_id": seller.tenant.slug, "x_aforo_gateway_token": "t0"}
    assert edge.call(path, body, **named)[2]["decision"] == "ALLOW"
    assert edge.call("/v1/else")[0] == 404


def test_a_revoked_key_is_refused_although_it_was_read_a_moment_ago(
    seller, beside, django_capture_on_commit_callbacks
):
    edge = beside(fresh_seconds=3600.0)
    body = {"customerId": "cust_1", "metricName": "calls"}
    assert edge.ask("/api/v1/quota/check", body)[0] == 200
    with django_capture_on_commit_callbacks(execute=True):
        revoke_key(key=ApiKey.objects.get(), actor=Actor.system("test"), now=NOW)
    assert eventually(lambda: edge.ask("/api/v1/quota/check", body)[0] == 401)
    assert edge.authorize()[0] == 401


def test_a_key_of_a_customer_asks_about_nobody_else(seller, limited, gateway, beside):
    own, theirs = Subscription.objects.get(), subscribe(seller.tenant, "cust_2").customer
    about = {"actor": Actor.system("test"), "now": NOW}
    _, text = issue_subscription_key(subscription=own, name="its own", **about)
    CustomerAliasFactory(customer=own.customer, label="their-app")
    gateway.sync()
    publish_entries()
    edge, headers = beside(), {"Authorization": f"Bearer {text}"}
    for path, named in (
        ("/v1/canAccess", {"featureKey": "api"}),
        ("/api/v1/quota/check", {"metricName": "calls"}),
    ):
        for name, status in (
            ("cust_1", 200),
            ("their-app", 200),
            (str(own.customer_id), 200),
            ("cust_2", 403),
            (str(theirs.pk), 403),
            ("nobody", 403),
        ):
            one = named | {"customerId": name}
            many = {"checks": [named | {"customerId": "cust_1"}, one]}
            for at, body in ((path, one), (f"{path}/batch", many)):
                found = edge.ask(at, body, authorization=headers["Authorization"])[0]
                assert (found, at, name) == (status, at, name)
                assert gateway.ask(at, body, **headers).status_code == status


def test_without_redis_what_was_read_is_answered_and_says_so(limited, seller, beside, away):
    edge, stranger = beside(is_internal=True, stale_seconds=60.0), beside()
    body = {"customerId": "cust_1", "featureKey": "api"}
    named = f"tenantId={seller.tenant.slug}&scopeId=cust_1"
    edge.ask("/v1/canAccess", body)
    edge.call(QUICK, query=named)
    away()
    with capture_logs() as lines:
        status, headers, answer = edge.ask("/v1/canAccess", body)
    assert (status, answer["reason"], answer["quota"]) == (200, "OK", 10)
    assert (headers["X-Aforo-Stale"], answer["staleSeconds"]) == ("1", 1)
    assert edge.call(QUICK, query=named)[2]["staleSeconds"] == 1
    assert edge.authorize(x_aforo_feature="api")[1]["X-Aforo-Stale"] == "1"
    unknown = edge.ask("/v1/canAccess", body | {"customerId": "cust_9"})[2]
    assert (unknown["allowed"], unknown["reason"], unknown["fallback"]) == (
        True,
        "UNAVAILABLE",
        "OPEN",
    )
    assert edge.authorize(customer="cust_9")[1]["X-Aforo-Fallback"] == "OPEN"
    told, _, problem = stranger.ask("/v1/canAccess", body)
    assert (told, problem["code"]) == (503, "UNAVAILABLE")
    assert lines == []  # a plain yes is told to nobody


def test_what_is_older_than_was_agreed_is_not_answered(limited, beside, away):
    edge = beside(stale_seconds=0.0)
    body = {"customerId": "cust_1", "featureKey": "api"}
    assert edge.ask("/v1/canAccess", body)[2]["reason"] == "OK"
    away()
    assert edge.ask("/v1/canAccess", body)[0] == 503


def test_what_was_read_a_moment_ago_is_known_whatever_is_remembered(limited, beside):
    edge = beside(fresh_seconds=60.0, stale_seconds=0.0)
    body = {"customerId": "cust_1", "featureKey": "api"}
    assert [edge.ask("/v1/canAccess", body)[2]["reason"] for _ in range(3)] == ["OK"] * 3


def test_an_emptied_redis_takes_nothing_away(limited, beside):
    edge = beside()
    body = {"customerId": "cust_1", "featureKey": "api"}
    edge.ask("/v1/canAccess", body)
    valkey.client().flushdb()
    _, headers, answer = edge.ask("/v1/canAccess", body)
    assert (answer["reason"], headers["X-Aforo-Stale"]) == ("OK", "1")


def test_what_was_read_is_used_without_asking_only_while_revocations_are_heard(
    limited, seller, beside, monkeypatch
):
    edge = beside(fresh_seconds=3600.0)
    body = {"customerId": "cust_1", "featureKey": "api"}
    asked = []
    whole = line.Line._asked
    monkeypatch.setattr(
        line.Line, "_asked", lambda self, question: asked.append(1) or whole(self, question)
    )
    edge.ask("/v1/canAccess", body)
    edge.ask("/v1/canAccess", body)
    assert len(asked) == 2  # the key and the customer, once
    monkeypatch.setattr(looking.EdgeLooking, "_is_fresh", lambda *_: False)
    edge.ask("/v1/canAccess", body)
    assert len(asked) == 3  # both at once, where the key is known


def test_customers_are_read_while_nobody_writes_the_keys(limited, seller, gateway, beside):
    edge, stranger = beside(stale_seconds=0.0), beside()
    assert edge.authorize(x_aforo_feature="api")[0] == 200
    redis, entry = valkey.client(), entry_of(ApiKey.objects.get().digest)
    redis.delete(ENTRIES_WHOLE, entry)  # the worker stands for five minutes
    assert eventually(lambda: not edge.hears())
    checks = {"redis": "UP", "keys": "DOWN"}
    assert edge.call("/readyz")[2] == {"status": "DEGRADED", "checks": checks}
    Subscription.objects.update(state="PAUSED")
    publishing.publish_customers(seller.tenant.pk, [Customer.objects.get().pk], now=NOW)
    status, headers, answer = edge.authorize(x_aforo_feature="api")
    assert (status, answer["error"]["code"]) == (403, "SUBSCRIPTION_INACTIVE")
    assert "X-Aforo-Stale" not in headers
    assert stranger.authorize()[0] == 503
    revoke_key(key=ApiKey.objects.get(), actor=Actor.system("test"), now=NOW)
    redis.publish(REVOCATIONS, entry.removeprefix("key:"))
    redis.delete(entry)
    assert eventually(lambda: edge.authorize()[0] == 401)


def test_a_key_that_may_have_been_revoked_unheard_is_as_old_as_it_was_read(limited, beside, away):
    edge = beside(stale_seconds=60.0)
    assert edge.authorize(x_aforo_feature="api")[0] == 200
    valkey.client().delete(ENTRIES_WHOLE, entry_of(ApiKey.objects.get().digest))
    edge.edge._looking._heard_since = lambda: None
    edge.put_margin("L3_BLOCK")
    status, headers, _ = edge.authorize(x_aforo_feature="api")
    assert (status, headers["X-Aforo-Stale"]) == (429, "1")


@pytest.fixture
def forgetful(monkeypatch):
    monkeypatch.setattr(memory, "MOST_STRANGERS", 5)
    monkeypatch.setattr(memory, "MOST_REMEMBERED", 5)


@pytest.mark.usefixtures("limited", "forgetful")
def test_no_number_of_strangers_drives_a_customer_out(gateway, beside, away):
    edge = beside()
    alias = CustomerAliasFactory(customer=Customer.objects.get(), label="app")
    gateway.sync()
    for name in ("cust_1", "app"):
        assert edge.authorize(name, x_aforo_feature="gpu")[0] == 403
    alias.delete()
    gateway.sync()
    assert edge.authorize("app")[2]["error"]["code"] == "CUSTOMER_UNKNOWN"
    for number in range(20):
        assert edge.authorize(f"no-{number}")[0] == 403
    assert edge.authorize("x" * 1001)[0] == 403
    known = edge.edge._memory
    assert (len(known.customers), len(known.strangers)) == (2, 5)
    away()
    assert edge.authorize("cust_1", x_aforo_feature="gpu")[0] == 403
    for forgotten in ("app", "no-19", "x" * 1001):
        assert edge.authorize(forgotten)[2]["error"]["code"] == "CUSTOMER_UNKNOWN"
    assert edge.authorize("no-0")[1]["X-Aforo-Fallback"] == "OPEN"  # as who was never read


def test_what_was_not_asked_for_longest_is_forgotten_first():
    known = OrderedDict()
    for name in ("a", "b"):
        remember(known, name, Read(0.0, name), most=2)
    assert recall(known, "a") == Read(0.0, "a")
    remember(known, "c", Read(0.0, "c"), most=2)
    assert list(known) == ["a", "c"]
    assert recall(known, "b") is None


def test_an_edge_tells_how_it_is(beside, monkeypatch):
    edge = beside()
    assert edge.call("/healthz")[2] == {"status": "UP"}
    checks = {"redis": "UP", "keys": "UP"}
    assert edge.call("/readyz")[2] == {"status": "UP", "checks": checks}
    edge.ask("/v1/canAccess", {"customerId": "cust_1", "featureKey": "api"})
    told = edge.call("/metrics")[2].decode()
    assert "aforo_edge_hears 1.0" in told
    assert 'aforo_access_answers_total{reason="FEATURE_NOT_IN_PLAN",route="canAccess"}' in told
    monkeypatch.setattr(edge.edge._revocations, "_take", lambda _: None)
    monkeypatch.setattr(edge.edge._revocations, "_answered_at", 0.0)
    checks = {"redis": "DOWN", "keys": "DOWN"}
    assert edge.call("/readyz")[2] == {"status": "DEGRADED", "checks": checks}
    edge.edge._memory.customers.clear()
    assert edge.call("/readyz")[0] == 503
