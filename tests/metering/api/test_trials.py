"""Trying one event: told step by step, with exact amounts, and nothing of it is kept."""

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.tenancy.models import Tenant
from metering.models import EventKey, InboxBatch, RunningTotal, UsageEvent
from tests.clients import client_with, operator_client
from tests.factories import BillableUnitFactory, RatePlanVersionFactory, TenantFactory
from tests.metering.conftest import TIERS, TOKEN, catalog_changed, subscribe
from tests.metering.events import event

PATH = "/v1/ingest/test"
WRITES = ("INSERT", "UPDATE", "DELETE", "COPY")


@pytest.fixture
def sender(seller):
    return client_with(TOKEN)


def tried(client, whole, status=200, **more):
    answer = client.post(PATH + more.pop("query", ""), whole, format="json", **more)
    assert answer.status_code == status, answer.content
    return answer.json()


def verdicts(told):
    return {step["step"]: step["verdict"] for step in told["steps"]}


def test_an_event_that_would_count_is_walked_to_its_price(seller, sender):
    told = tried(sender, event(1))
    assert told["verdict"] == "COUNTED"
    assert told["code"] == ""
    assert verdicts(told) == {
        "schema": "PASSED",
        "timestamp": "PASSED",
        "metric": "PASSED",
        "idempotency": "PASSED",
        "latency": "PASSED",
        "enrichment": "PASSED",
        "pricing": "PASSED",
    }
    assert all(step["microseconds"] >= 0 for step in told["steps"])
    (effect,) = told["effects"]
    assert effect["billableUnit"] == "calls"
    assert effect["customerExternalId"] == "cust_1"
    assert effect["planVersion"] == 1
    assert (effect["periodStart"], effect["periodEnd"]) == (
        "2026-03-01T00:00:00Z",
        "2026-04-01T00:00:00Z",
    )
    assert (effect["quantityBefore"], effect["quantityAfter"]) == ("0", "1")
    assert (effect["priceBefore"], effect["priceAfter"]) == ("0", "0.02")
    assert (effect["revenue"], effect["cost"], effect["currency"]) == ("0.02", "0.001", "USD")
    assert effect["held"] is False


def test_nothing_is_written(seller, sender):
    seller.count(event(1))
    before = list(RunningTotal.objects.values())
    with CaptureQueriesContext(
        connection,
    ) as asked:
        tried(sender, event(2))
    assert not [sql for sql in asked if sql["sql"].lstrip().upper().startswith(WRITES)]
    assert not InboxBatch.objects.exists()
    assert (EventKey.objects.count(), UsageEvent.objects.count()) == (1, 1)
    assert list(RunningTotal.objects.values()) == before


def test_what_is_tried_is_what_counting_does(seller, sender):
    seller.count(event(1, metricName="tokens", quantity=999))
    one = event(2, metricName="tokens", quantity=3)
    told = tried(sender, one)["effects"][0]
    assert (told["quantityBefore"], told["quantityAfter"]) == ("999", "1002")
    assert told["revenue"] == "0.02"
    seller.count(one)
    row = UsageEvent.objects.get(idempotency_key="key-2")
    assert str(row.revenue.normalize()) == told["revenue"]
    total = RunningTotal.objects.get()
    assert str(total.quantity.normalize()) == told["quantityAfter"]


def test_a_drain_after_a_trial_in_the_same_process_counts_as_ever(seller, sender):
    tried(sender, event(1))
    seller.count(event(1), event(2))
    tried(sender, event(3))
    seller.count(event(3))
    assert RunningTotal.objects.get().position == 3


def test_a_repeat_and_a_conflict_are_told(seller, sender):
    seller.count(event(1))
    repeat = tried(sender, event(1))
    assert (repeat["verdict"], repeat["effects"]) == ("DUPLICATE", [])
    conflict = tried(sender, event(1, quantity=2))
    assert (conflict["verdict"], conflict["code"]) == ("REFUSED", "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize(
    ("fields", "code", "step"),
    [
        ({"quantity": -1}, "INVALID_QUANTITY", "schema"),
        ({"customerId": ...}, "INVALID_EVENT", "schema"),
        ({"occurredAt": "2026-03-15T12:06:00Z"}, "TIMESTAMP_IN_FUTURE", "timestamp"),
        ({"occurredAt": "2025-01-01T00:00:00Z"}, "TIMESTAMP_TOO_OLD", "timestamp"),
        ({"metricName": "nothing"}, "UNKNOWN_METRIC", "metric"),
        ({"customerId": "nobody"}, "UNKNOWN_CUSTOMER", "enrichment"),
        ({"occurredAt": "2026-02-01T00:00:00Z"}, "NO_SUBSCRIPTION", "enrichment"),
    ],
)
def test_a_refusal_ends_the_walk_with_its_code(seller, sender, fields, code, step):
    told = tried(sender, event(1, **fields))
    assert (told["verdict"], told["code"]) == ("REFUSED", code)
    assert told["steps"][-1]["step"] == step
    assert told["steps"][-1]["detail"]
    assert told["effects"] == []


def test_a_late_event_is_flagged_and_counts(seller, sender):
    told = tried(sender, event(1, occurredAt="2026-03-13T00:00:00Z"))
    assert (told["verdict"], verdicts(told)["latency"]) == ("COUNTED", "FLAGGED")


def test_an_event_nobody_prices_would_be_unbilled(seller, sender):
    BillableUnitFactory(tenant=seller.tenant, name="unpriced")
    catalog_changed(seller.tenant)
    told = tried(sender, event(1, metricName="unpriced"))
    assert (told["verdict"], told["effects"]) == ("UNBILLED", [])


@pytest.mark.parametrize(("policy", "verdict"), [("HOLD", "HELD"), ("AUTO", "COUNTED")])
def test_an_event_of_a_billed_period_would_be_held_unless_policy_says_otherwise(
    seller, sender, policy, verdict
):
    seller.count(event(1))
    RunningTotal.objects.update(
        billed_position=1, billed_quantity=1, billed_event_count=1, billed_revenue="0.02"
    )
    Tenant.objects.filter(pk=seller.tenant.pk).update(late_policy=policy)
    told = tried(sender, event(2))
    assert told["verdict"] == verdict
    assert told["effects"][0]["held"] is (verdict == "HELD")


def test_a_value_that_was_seen_adds_nothing(seller, sender):
    users = BillableUnitFactory(
        tenant=seller.tenant, name="users", aggregation="UNIQUE", event_field="user"
    )
    version = RatePlanVersionFactory(
        tenant=seller.tenant, prices={users: {"model": "PER_UNIT", "rate": "1"}}, published=True
    )
    subscribe(seller.tenant, "cust_2", version)
    one = {"customerId": "cust_2", "metricName": "users"}
    assert tried(sender, event(1, **one, metadata={"user": "a"}))["effects"][0]["revenue"] == "1"
    seller.count(event(1, **one, metadata={"user": "a"}))
    assert tried(sender, event(2, **one, metadata={"user": "a"}))["effects"][0]["revenue"] == "0"
    assert tried(sender, event(2, **one, metadata={"user": "b"}))["effects"][0]["revenue"] == "1"


def test_several_units_each_have_an_effect(seller, sender):
    everything = BillableUnitFactory(
        tenant=seller.tenant, name="volume", aggregation="SUM", source_metric="calls"
    )
    version = RatePlanVersionFactory(
        tenant=seller.tenant,
        prices={everything: {"model": "GRADUATED", "tiers": TIERS}},
        published=True,
    )
    subscribe(seller.tenant, "cust_2", version)
    told = tried(sender, event(1, customerId="cust_2", quantity=5))
    assert [effect["billableUnit"] for effect in told["effects"]] == ["volume"]
    assert told["effects"][0]["revenue"] == "0.05"


def test_other_spellings_are_those_of_the_door_that_is_named(seller, sender):
    spelled = {"event": "calls", "customer_id": "cust_1", "timestamp": "2026-03-15T11:00:00Z"}
    told = tried(sender, spelled, query="?door=/v1/events")
    assert told["verdict"] == "COUNTED"
    assert msgspec.json.decode(told["event"])["metricName"] == "calls"
    assert tried(sender, spelled)["code"] == "INVALID_EVENT"
    tried(sender, spelled, query="?door=/nowhere", status=400)


def test_a_cloud_event_is_read_as_one(seller, sender):
    body = {
        "specversion": "1.0",
        "type": "calls",
        "id": "1",
        "source": "me",
        "subject": "cust_1",
        "time": "2026-03-15T11:00:00Z",
        "data": {},
    }
    answer = sender.post(
        PATH, msgspec.json.encode(body), content_type="application/cloudevents+json"
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["verdict"] == "COUNTED"


def test_credentials_are_not_repeated(seller, sender):
    told = tried(sender, event(1, metadata={"apiKey": "sk_live_abcdef", "note": TOKEN}))
    assert "sk_live_abcdef" not in told["event"]
    assert TOKEN not in told["event"]


def test_one_event_is_tried_at_a_time(seller, sender):
    assert tried(sender, {"events": [event(1), event(2)]}, status=422)
    assert tried(sender, {"events": []}, status=422)
    answer = sender.post(PATH, b"{nonsense", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_JSON")
    answer = sender.post(PATH, b"", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "EMPTY_BODY")


def test_an_operator_may_try_too_and_only_reads(seller):
    told = tried(operator_client(seller.tenant, role="MEMBER"), event(1))
    assert told["verdict"] == "COUNTED"


def test_a_key_tries_on_its_own_tenant_alone(seller):
    told = tried(operator_client(TenantFactory()), event(1, occurredAt=...))
    assert (told["verdict"], told["code"]) == ("REFUSED", "UNKNOWN_METRIC")
    assert client_with("sk_live_unknown").post(PATH, event(1)).status_code == 401


def test_an_event_without_key_is_always_new(seller, sender):
    seller.count(event(1, idempotencyKey=...))
    told = tried(sender, event(1, idempotencyKey=...))
    assert told["verdict"] == "COUNTED"
    assert told["idempotencyKey"].startswith("auto:")


def test_a_compound_is_walked_measurement_by_measurement(seller, sender):
    whole = {
        "customerId": "cust_1",
        "idempotencyKey": "c-1",
        "measurements": [
            {"metricName": "calls", "quantity": 1},
            {"metricName": "tokens", "quantity": 10},
        ],
    }
    told = tried(sender, whole, query="?door=/api/v1/ingest/compound")
    assert (told["verdict"], told["code"], told["effects"]) == ("COUNTED", "", [])
    assert [one["verdict"] for one in told["measurements"]] == ["COUNTED", "COUNTED"]
    assert [one["effects"][0]["revenue"] for one in told["measurements"]] == ["0.02", "0.1"]
    assert not EventKey.objects.exists()


def test_a_compound_with_a_bad_measurement_is_refused_whole(seller, sender):
    whole = {
        "customerId": "cust_1",
        "measurements": [
            {"metricName": "calls", "quantity": 1},
            {"metricName": "tokens", "quantity": -10},
        ],
    }
    told = tried(sender, whole, query="?door=/api/v1/ingest/compound")
    assert (told["verdict"], told["code"]) == ("REFUSED", "INVALID_QUANTITY")
    assert [one["verdict"] for one in told["measurements"]] == ["COUNTED", "REFUSED"]


def test_one_compound_is_tried_at_a_time(seller, sender):
    one = {"customerId": "cust_1", "measurements": [{"metricName": "calls", "quantity": 1}]}
    tried(sender, [one, one], status=422, query="?door=/api/v1/ingest/compound")


def test_a_trial_counts_in_the_dimension_and_with_the_parts_that_the_drain_would(seller, sender):
    terms = {
        "model": "GRADUATED",
        "tiers": [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.1"}],
        "groupBy": ["team"],
    }
    unit = BillableUnitFactory(tenant=seller.tenant, name="levels", aggregation="AVG")
    version = RatePlanVersionFactory(tenant=seller.tenant, prices={unit: terms}, published=True)
    subscribe(seller.tenant, "buyer", version)
    fields = {"customerId": "buyer", "metricName": "levels"}
    seller.count(event(1, **fields, quantity=4, metadata={"team": "a"}))
    for team, before, after in (("a", "4", "5"), ("b", "0", "6")):
        told = tried(sender, event(2, **fields, quantity=6, metadata={"team": team}))
        (effect,) = told["effects"]
        assert (effect["quantityBefore"], effect["quantityAfter"]) == (before, after)
        assert effect["priceAfter"] == after
