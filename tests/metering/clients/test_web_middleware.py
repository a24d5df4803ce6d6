"""Middleware of web frameworks: each route is a metric of its own, named as the framework does."""

import pytest

from tests.metering.clients.test_base_sdks import tracked
from tests.metering.clients.wire import COUNT, assert_repeats_change_nothing, counted, post, told
from tests.metering.events import codes, outcomes, rows

NAMES = {
    "flask": "GET /users/<int:uid>",
    "fastapi": "GET /orders/{oid}",
    "django": "GET /items/:id/",
    "express": "GET /v1/items/:id",
    "go": "POST /v1/items/:id",
}


@pytest.mark.parametrize("framework", NAMES)
def test_a_route_that_is_a_unit_is_counted(seller, sell, framework):
    metric = NAMES[framework]
    sell("cust_web", **{metric: COUNT})
    event = tracked("cust_web", metric, gateway="java-servlet", status=200)

    def send():
        return post(seller, {"events": [event]})

    assert told(send()) == (1, 0, 0)
    seller.drain()
    assert counted() == {metric: "1"}
    assert_repeats_change_nothing(seller, send)


@pytest.mark.parametrize("framework", NAMES)
def test_a_route_that_nobody_defined_is_refused_and_kept(seller, framework):
    answer = post(seller, {"events": [tracked(metric=NAMES[framework])]})
    assert answer.status_code == 422
    assert answer.json()["code"] == "UNKNOWN_METRIC"
    seller.drain()
    assert codes() == ["UNKNOWN_METRIC"]


def test_a_tenant_may_take_every_route_unbilled(seller):
    seller.tenant.unknown_metric = "ACCEPT_UNBILLED"
    seller.tenant.save()
    events = [tracked(metric=name) for name in NAMES.values()]
    assert told(post(seller, {"events": events})) == (5, 0, 0)
    seller.drain()
    assert outcomes() == {"unbilled": 5}
    assert sorted(row.metric for row in rows()) == sorted(NAMES.values())
    assert_repeats_change_nothing(seller, lambda: post(seller, {"events": events}))


def test_a_customer_that_is_an_api_key_is_found_and_not_kept(seller, sell, alias):
    """`X-Customer-Id`, else `X-Api-Key`: what names the customer may be a secret."""
    secret = "sk_live_" + "c" * 40
    owner = sell("cust_web", **{NAMES["express"]: COUNT})
    alias(secret, customer="cust_web")
    event = tracked(secret, NAMES["express"])

    def send():
        return post(seller, {"events": [event]})

    assert told(send()) == (1, 0, 0)
    seller.drain()
    assert [row.customer_id for row in rows()] == [owner.id]
    assert_repeats_change_nothing(seller, send)
