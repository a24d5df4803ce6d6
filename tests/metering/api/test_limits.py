"""429 at the doors: a key over its rate, an inbox that is full. Nothing accepted is ever lost."""

import pytest
from django.test import override_settings

from aforo.tenancy.models import ApiKey
from metering.ingest import backlog
from metering.ingest.backlog import BACKLOG
from metering.models import InboxBatch
from metering.services.ingest import sweep_inbox
from tests.factories import ApiKeyFactory, SandboxFactory
from tests.metering.conftest import NOW, Seller
from tests.metering.events import event


@pytest.fixture(autouse=True)
def fresh_look(monkeypatch):
    """The process has not looked at the backlog yet."""
    monkeypatch.setattr(BACKLOG, "_looked_at", float("-inf"))
    monkeypatch.setattr(BACKLOG, "_waiting", {})


def sweep():
    """Measure, and let the process look at it at once."""
    sweep_inbox()
    BACKLOG._looked_at = float("-inf")


def limit(seller, most):
    ApiKey.objects.filter(tenant=seller.tenant).update(rate_limit=most)


def test_an_unlimited_key_gets_no_headers(seller):
    answer = seller.send(event())

    assert answer.status_code == 202
    assert "X-RateLimit-Limit" not in answer


def test_a_limited_key_hears_where_it_stands_with_every_answer(seller):
    limit(seller, 10)

    answer = seller.send(event(1), event(2))
    refused = seller.send(event(3, quantity=-1))

    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("10", "8")
    assert (refused.status_code, refused["X-RateLimit-Remaining"]) == (422, "7")


def test_what_is_no_event_does_not_count_and_says_where_the_key_stands(seller):
    limit(seller, 10)
    batch = seller.send(event(1)).json()["batchId"]

    unreadable = seller.post(b"not even json")
    tried = seller.post(b'{"metricName": "calls"}', path="/v1/ingest/test")
    asked = seller.client.get(f"/v1/ingest/batches/{batch}", headers={"X-Aforo-Key": seller.token})

    answers = [(unreadable, 400), (tried, 200), (asked, 200)]
    assert [answer.status_code for answer, _ in answers] == [status for _, status in answers]
    assert {answer["X-RateLimit-Remaining"] for answer, _ in answers} == {"9"}


def test_what_other_peoples_clients_send_in_vain_counts_too(seller):
    limit(seller, 1)
    lago = "/compat/lago/api/v1/events"

    refused = seller.post(b'{"event": {"code": "calls"}}', path=lago)

    assert (refused.status_code, refused["X-RateLimit-Remaining"]) == (422, "0")
    assert seller.post(b"{}", path=lago).status_code == 429


def test_a_key_over_its_rate_is_sent_away_before_anything_is_read(seller):
    limit(seller, 2)
    seller.send(event(1), event(2))

    answer = seller.post(b"not even json")

    assert answer.status_code == 429
    assert answer.json()["code"] == "RATE_LIMITED"
    assert answer["Retry-After"].isdigit()
    assert answer["X-RateLimit-Remaining"] == "0"
    assert InboxBatch.objects.count() == 1


def test_one_switch_limits_every_key(seller, settings):
    settings.KEY_RATE_LIMIT = 10_000

    assert seller.send(event())["X-RateLimit-Limit"] == "10000"


def test_a_tenant_whose_inbox_is_full_is_sent_away_until_it_is_drained(seller, settings):
    settings.INBOX_LIMIT_PER_TENANT = 2
    seller.send(event(1), event(2))
    sweep()

    answer = seller.send(event(3))

    assert (answer.status_code, answer.json()["code"]) == (429, "BACKLOG")
    assert answer["Retry-After"] == "5"
    assert seller.drain() == 2
    sweep()
    assert seller.send(event(3)).status_code == 202


def test_who_has_less_than_its_share_may_still_come_when_all_together_fill_the_inbox(
    seller, settings
):
    settings.INBOX_LIMIT = 4
    small = Seller(SandboxFactory(clock_frozen_at=NOW), seller.client, "sk_test_" + "s" * 40)
    small.tenant.unknown_metric = "ACCEPT_UNBILLED"
    small.tenant.save()
    ApiKeyFactory(tenant=small.tenant, secret=small.token)
    small.send(event())
    seller.send(event(1), event(2), event(3), event(4))
    sweep()

    assert seller.send(event(5)).status_code == 429
    assert small.send(event(2)).status_code == 202


def test_doors_stay_open_while_redis_is_away(seller, redis_down):
    with override_settings(INBOX_LIMIT_PER_TENANT=1):
        seller.send(event(1))
        backlog.measure()

        assert seller.send(event(2)).status_code == 202
