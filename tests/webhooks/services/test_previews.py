"""Previews of the latest pushes: each as if it came alone, and bounded together."""

import lz4.frame
import pytest

from aforo.tenancy.models import Tenant
from metering.ingest.events import HEARTBEAT, SESSION_SUMMARY
from tests.factories import WebhookDeliveryFactory, WebhookSourceFactory
from tests.metering.events import codes
from tests.webhooks.conftest import Sender, map_all
from webhooks.inbound.paths import Search
from webhooks.inbound.rules import Rule
from webhooks.services import previews
from webhooks.services.previews import preview, preview_latest

RULE = Rule(customer="$.c", metric="tokens", items="$.items")


@pytest.fixture
def source(seller):
    return WebhookSourceFactory(tenant=seller.tenant)


def came(source, body, **fields):
    return WebhookDeliveryFactory(
        tenant=source.tenant, source=source, payload=lz4.frame.compress(body), **fields
    )


def test_each_of_the_latest_pushes_may_make_as_many_events_as_a_push_may(source, monkeypatch):
    monkeypatch.setattr(previews, "Search", lambda allowance: Search(allowance, events_left=3))
    for _ in range(2):
        came(source, b'{"c": "cust_1", "items": [1, 2, 3]}')
    seen = preview_latest(source=source, count=2, rules=[RULE])
    assert [one.verdict for one in seen] == ["ACCEPTED"] * 2


def test_no_more_is_read_for_a_preview_than_one_push_may_have(source):
    many = [came(source, b"{}", size=size) for size in (10, 1, previews.MOST_BYTES - 5, 5)]
    seen = preview_latest(source=source, count=9)
    assert [one.delivery_id for one in seen] == [many[3].pk, many[2].pk]
    huge = came(source, b"{}", size=previews.MOST_BYTES + 1)
    assert [one.delivery_id for one in preview_latest(source=source, count=9)] == [huge.pk]


@pytest.mark.parametrize("policy", Tenant.UnknownMetric.values)
def test_a_metric_that_nobody_counts_is_a_flaw_where_the_drain_refuses_it(seller, source, policy):
    Tenant.objects.filter(pk=seller.tenant.pk).update(unknown_metric=policy)
    names = ("fresh", HEARTBEAT, SESSION_SUMMARY)
    payloads = [
        {"customerId": "cust_1", "metricName": name, "sessionId": "s1", "id": name}
        for name in names
    ]
    said = [one.why.code for one in preview(source=source, payload=payloads) if one.why]
    for payload in payloads:
        Sender(source, seller.client).push(payload)
    map_all()
    seller.drain()
    assert said == codes() == (["UNKNOWN_METRIC"] if policy == "REJECT" else [])
