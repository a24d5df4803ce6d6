"""The figures of today and of the last hour over HTTP."""

from django.utils import timezone

from metering.services.ingest import drain_once
from tests.clients import operator_client
from tests.metering.events import event


def drain_now():
    while drain_once(shard=0, shards=1, now=timezone.now()):
        pass


def test_today_is_told_with_what_is_exact_and_what_is_estimated(seller):
    seller.send(event(1), event(1))
    drain_now()
    told = operator_client(seller.tenant, role="MEMBER").get("/api/v1/live/summary").json()

    assert (told["events"]["today"], told["duplicates"]["today"]) == (2, 1)
    assert (told["staleAfter"], told["currency"]) == (30, seller.tenant.currency)
    prevented = told["leakagePrevented"]
    assert prevented["recovered"]["estimated"] is False
    assert prevented["duplicates"]["estimated"] is True
    assert prevented["duplicates"]["today"] == "0.02"
    assert set(told["events"]) == {"today", "yesterday", "period", "lastPeriod"}


def test_the_last_hour_is_told(seller):
    seller.send(event(1), event(2, customerId="nobody"))
    drain_now()
    seller.send(event(3))
    told = operator_client(seller.tenant, role="MEMBER").get("/api/v1/ingestion").json()

    assert told["eventsLastHour"] == 2
    assert (told["successRate"], told["activeSources"]) == (0.5, 1)
    assert len(told["minutes"]) == 60
    (source,) = told["sources"]
    assert (source["source"], source["door"], source["status"]) == (
        "API",
        "/v1/ingest/batch",
        "DEGRADED",
    )
    assert told["backlog"]["events"] == 1
    assert told["quality"]["topErrors"] == [{"code": "UNKNOWN_CUSTOMER", "events": 1}]
    assert told["quality"]["openDeadLetters"] == 1
    assert [unit["name"] for unit in told["units"]] == ["calls", "tokens"]


def test_both_need_a_key(client, db):
    assert client.get("/api/v1/live/summary").status_code == 401
    assert client.get("/api/v1/ingestion").status_code == 401
