"""Live revenue over HTTP and in the admin."""

import json

import pytest
from django.urls import reverse
from redis import RedisError

from aforo.tenancy.models import Tenant
from metering.monitors.summing import sum_usage
from tests.clients import operator_client
from tests.factories import MemberFactory, TenantFactory, UserFactory
from tests.metering.events import event

ROUTE = "/api/v1/live/revenue"


@pytest.fixture
def used(seller):
    seller.count(event(1), event(2), event(3, metricName="tokens", quantity=2000))
    sum_usage()
    return seller


def test_what_usage_brings_in_is_told_by_groups(used):
    client = operator_client(used.tenant, role="MEMBER")
    found = client.get(ROUTE).json()["data"]
    assert (found["asOf"], found["staleAfter"]) == ("2026-03-15T12:00:00Z", 30)
    (whole,) = found["groups"]
    assert whole["today"] == {"amount": "15.04", "yesterday": "0"}
    assert whole["period"] == {"amount": "15.04", "lastPeriod": "0"}
    assert whole["projection"]["isUpperBound"] is True
    assert len(whole["sparkline"]) == 24
    assert whole["sparkline"][-2] == {"hour": "2026-03-15T11:00:00Z", "amount": "15.04"}

    units = client.get(ROUTE, {"groupBy": "metric", "limit": 1}).json()["data"]
    assert (units["totalGroups"], [one["label"] for one in units["groups"]]) == (2, ["tokens"])
    own = client.get(ROUTE, {"groupBy": "customer", "customerId": "cust_1"}).json()["data"]
    assert [one["label"] for one in own["groups"]] == ["cust_1"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"groupBy": "moon"}, 400),
        ({"limit": "0"}, 400),
        ({"limit": "²"}, 400),
        ({"customerId": "nobody"}, 404),
    ],
)
def test_what_cannot_be_asked(used, asked, status):
    assert operator_client(used.tenant).get(ROUTE, asked).status_code == status


def test_without_redis_it_is_told_anew(used, monkeypatch):
    def away(*args):
        raise RedisError

    for name in ("get", "set"):
        monkeypatch.setattr(f"metering.selectors.revenue_kept.cache.{name}", away)
    client = operator_client(used.tenant)
    assert client.get(ROUTE).json()["data"]["groups"][0]["period"]["amount"] == "15.04"


def test_many_who_ask_for_the_same_ask_the_database_once(used, django_assert_max_num_queries):
    client = operator_client(used.tenant)
    first = client.get(ROUTE).json()
    with django_assert_max_num_queries(2):
        assert client.get(ROUTE).json() == first


def test_another_tenant_sees_nothing(used):
    theirs = operator_client(TenantFactory())
    assert theirs.get(ROUTE).json()["data"]["groups"] == []
    assert theirs.get(ROUTE, {"customerId": "cust_1"}).status_code == 404


def test_the_page_shows_it_and_asks_again_each_minute(used, client):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=used.tenant, user=user, role="MEMBER")
    client.force_login(user)
    for by in ("", "product", "startMonth", "moon"):
        page = client.get(reverse("metering_revenue"), {"by": by})
        text = page.content.decode()
        assert page.status_code == 200
        assert "15.04 USD" in text
        assert "≤" in text
        assert '<meta http-equiv="refresh" content="60">' in text
    assert "cust_1" in text
    theirs = TenantFactory()
    assert client.get(reverse("metering_revenue"), {"tenant": theirs.slug}).status_code == 404


def test_the_page_names_hours_in_the_tenants_time_zone(used, client):
    Tenant.objects.filter(pk=used.tenant.pk).update(time_zone="Asia/Kolkata")  # half an hour apart
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=used.tenant, user=user, role="MEMBER")
    client.force_login(user)
    (one,) = client.get(reverse("metering_revenue")).context["currencies"]
    assert json.loads(one["chart"])["labels"][-1] == "17:30"  # noon
