"""`ext_authz`: what a gateway is answered, and what whoever called it reads."""

from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from aforo.tenancy.services.actors import Actor
from catalog import aliases
from catalog.models import BillableUnit, Customer, CustomerAlias, RatePlan, Subscription
from catalog.services.subscription_keys import issue_subscription_key
from metering.entitlements.state import MarginState
from metering.services.key_entries import publish_entries
from tests.factories import CustomerAliasFactory, CustomerFactory
from tests.metering.conftest import NOW
from tests.metering.entitlements.conftest import feature_of
from tests.metering.events import event

pytestmark = pytest.mark.django_db


@pytest.fixture
def limited(seller):
    plan = RatePlan.objects.get(tenant=seller.tenant)
    unit = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=unit, limit=5)
    feature_of(seller.tenant, plan, "sso")


def test_what_is_in_the_plan_passes_and_what_is_not_is_forbidden(limited, gateway, beside):
    CustomerAliasFactory(customer=Customer.objects.get(), label="jürgen")
    gateway.sync()
    edge = beside()
    assert edge.authorize(x_aforo_feature="sso")[0] == 200
    status, _, answer = edge.authorize(x_aforo_feature="gpu")
    assert (status, answer["error"]["code"]) == (403, "FEATURE_NOT_IN_PLAN")
    assert edge.authorize(x_aforo_feature="sso", x_aforo_metric="calls")[0] == 200
    assert edge.authorize(x_aforo_feature="gpu", x_aforo_metric="calls")[0] == 403
    spelled = "jürgen".encode().decode("latin-1")  # as web servers hand over what is no ASCII
    assert edge.authorize(spelled, x_aforo_feature="sso")[0] == 200
    assert edge.authorize("j\xff", x_aforo_feature="sso")[0] == 403
    assert edge.authorize("nobody")[2]["error"]["code"] == "CUSTOMER_UNKNOWN"
    constant = beside(feature="gpu")  # of all calls, whatever they claim
    assert [constant.authorize(**one)[0] for one in ({}, {"x_aforo_feature": "sso"})] == [403] * 2
    told = beside(feature="gpu", feature_header="X-Aforo-Feature")
    assert [told.authorize(**one)[0] for one in ({}, {"x_aforo_feature": "sso"})] == [403, 200]


def test_a_quota_warns_and_then_refuses_with_a_time_to_come_back(limited, seller, gateway, beside):
    edge = beside()
    seller.count(*(event(n, metricName="calls") for n in range(3)))
    gateway.sync()
    status, headers, _ = edge.authorize(x_aforo_metric="calls")
    assert (status, headers["X-RateLimit-Warning"]) == (200, "approaching-limit")
    seller.count(*(event(n, metricName="calls") for n in range(3, 5)))
    gateway.sync()
    status, headers, answer = edge.authorize(x_aforo_metric="calls")
    assert (status, headers["Retry-After"]) == (429, "3600")
    assert answer == {
        "error": {
            "code": "QUOTA_EXCEEDED",
            "message": "Quota exceeded",
            "retryAfterSeconds": 3600,
            "supportUrl": "/portal/support",
            "limit": 5,
            "currentUsage": 5,
            "resetsAt": "2026-04-01T00:00:00Z",
        }
    }
    assert edge.authorize()[0] == 429  # without a metric, whatever is limited


def test_each_level_of_a_guard_is_answered_and_told_in_the_log(limited, beside):
    edge = beside(support_url="https://seller.example/help")
    edge.put_margin("L1_ALERT", percent=Decimal(15))
    status, headers, _ = edge.authorize(x_aforo_feature="sso")
    assert (status, headers["X-Margin-Guard-Warning"]) == (200, "margin-low")

    edge.put_margin("L2_THROTTLE", throttle_rate=25)
    with capture_logs() as lines:
        answers = [edge.authorize(x_aforo_feature="sso") for _ in range(8)]
    assert [status for status, *_ in answers] == [429, 429, 429, 200] * 2
    _, refused, body = answers[0]
    assert (refused["X-Margin-Guard"], refused["X-Margin-Guard-Level"]) == ("throttled", "L2")
    assert (refused["Retry-After"], body["error"]["code"]) == ("60", "RATE_LIMITED_MARGIN")
    assert "X-Aforo-Throttle" not in refused
    _, passed, _ = answers[3]
    assert (passed["X-Aforo-Throttle"], passed["X-Margin-Guard"]) == ("true", "throttled")
    assert [line["event"] for line in lines].count("access_throttled") == 6
    assert [line["event"] for line in lines].count("access_answered") == 8

    edge.put_margin("L3_BLOCK", message="a margin of -5 % is below 0 %")
    status, headers, body = edge.authorize(x_aforo_feature="sso")
    assert (status, headers["X-Margin-Guard"], headers["X-Margin-Guard-Level"]) == (
        429,
        "blocked",
        "L3",
    )
    assert headers["Retry-After"] == "1800"
    assert body == {
        "error": {
            "code": "SERVICE_RESTRICTED_MARGIN",
            "message": "Margin Limit Exceeded",
            "retryAfterSeconds": 1800,
            "supportUrl": "https://seller.example/help",
        }
    }


def test_the_strictest_guard_counts_a_customer_by_whatever_name(limited, beside):
    edge = beside()
    edge.put_margin("L1_ALERT", by_metric={"calls": MarginState("L2_THROTTLE", throttle_rate=0)})
    both = {"x_aforo_metric": "calls", "x_aforo_feature": "sso"}
    assert edge.authorize(**both)[2]["error"]["code"] == "RATE_LIMITED_MARGIN"
    assert edge.authorize(x_aforo_feature="sso")[1]["X-Margin-Guard-Warning"] == "margin-low"

    per_metric = MarginState("L2_THROTTLE", throttle_rate=50)
    edge.put_margin("L2_THROTTLE", throttle_rate=50, by_metric={"calls": per_metric})
    names, metrics = ("cust_1", str(Customer.objects.get().pk)), ("a", "b", "", "c")
    answers = [edge.authorize(name, x_aforo_metric=one)[0] for one in metrics for name in names]
    assert answers == [429, 200] * 4
    assert edge.authorize(x_aforo_metric="a")[0] == 429
    assert edge.authorize(x_aforo_metric="calls")[0] == 200  # the second, after the very first


def test_names_of_one_metric_share_a_count_and_who_names_none_is_under_its_guard(limited, beside):
    edge = beside(is_internal=True)
    one_call = MarginState("L2_THROTTLE", requests_per_second=Decimal("0.001"))
    edge.put_margin("NONE", by_metric={"calls": one_call, "raw.calls": one_call})
    named = [{"x_aforo_metric": name} for name in ("calls", "raw.calls")]
    assert [edge.authorize(**one)[0] for one in (*named, {}, *named)] == [200, 429, 429, 429, 429]
    assert edge.authorize(x_aforo_feature="sso")[0] == 200

    edge.put_margin("NONE", by_metric={"calls": MarginState("L3_BLOCK", message="calls cost")})
    assert edge.authorize()[2]["error"]["code"] == "SERVICE_RESTRICTED_MARGIN"
    assert edge.ask("/api/v1/quota/check", {"customerId": "cust_1"})[2]["decision"] == "DENY"
    as_kong_asks = f"tenantId={edge.tenant.slug}&scopeType=CUSTOMER&scopeId=cust_1"
    told = edge.call("/internal/v1/margin-guard/quick-check", query=as_kong_asks)[2]
    assert (told["allowed"], told["message"]) == (False, "calls cost")


def test_a_key_of_a_customer_says_who_calls_whatever_the_header_claims(limited, seller, beside):
    other = CustomerFactory(tenant=seller.tenant, external_id="cust_2")
    about = {"actor": Actor.system("test"), "now": NOW}
    _, text = issue_subscription_key(
        subscription=Subscription.objects.get(), name="its own", **about
    )
    edge = beside()
    publish_entries()
    own = {"authorization": f"Bearer {text}", "x_aforo_feature": "sso"}
    assert edge.authorize("", **own)[0] == 200
    assert edge.authorize(other.external_id, **own)[0] == 200
    assert edge.authorize("", authorization="", x_aforo_key=text)[0] == 200


def test_callers_without_a_key_or_a_name_are_refused_and_told(seller, beside):
    edge = beside()
    with capture_logs() as lines:
        answers = [
            edge.authorize(authorization=""),
            edge.authorize(authorization="Basic abc"),
            edge.authorize(authorization="Bearer sk_live_no"),
            edge.authorize(""),
        ]
    assert [status for status, *_ in answers] == [401] * 4
    assert [answer["code"] for *_, answer in answers] == ["UNAUTHORIZED"] * 4
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("access_refused", "UNAUTHORIZED")
    ] * 4


def test_an_edge_of_one_tenant_knows_callers_by_secrets_alone(limited, seller, gateway, beside):
    who, kind = Customer.objects.get(), CustomerAlias.Kind
    for label, of_kind in (("their-own", kind.API_KEY), ("ops@acme.example", kind.SUBJECT)):
        CustomerAliasFactory(customer=who, label=label, kind=of_kind)
    gateway.sync()
    edge = beside(tenant=seller.tenant.slug, customer_header="Authorization")

    def by(text, edge=edge, header="authorization"):
        return edge.call("/ext_authz/a", **{header: text, "x_aforo_feature": "sso"})[0]

    assert (by("Bearer their-own"), by("")) == (200, 401)
    digest = aliases.digest_of(seller.tenant.pk, "their-own")
    hashed = [aliases.stand_in(one) for one in (digest, aliases.credential_of(digest))]
    known = ["cust_1", str(who.pk), "ops@acme.example", *hashed, "sk_other"]
    assert [by(f"Bearer {name}") for name in known] == [403] * 6
    own = beside(tenant=seller.tenant.slug, customer_header="X-Api-Key")
    assert [by(name, own, "x_api_key") for name in ("their-own", "cust_1")] == [200, 403]
    assert beside(tenant="nobody").authorize()[0] == 404
