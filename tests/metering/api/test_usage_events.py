"""Usage events over HTTP: found by what they say, page by page, each with its provenance."""

import hashlib
import hmac
import json
from uuid import UUID, uuid4

import pytest

from aforo.tenancy.models import ApiKey
from metering.models import RawPayload, Receipt, RunningTotal, UsageEvent
from metering.selectors import usage
from tests.clients import operator_client
from tests.factories import BillableUnitFactory, CustomerAliasFactory, TenantFactory
from tests.metering.conftest import TOKEN, catalog_changed, subscribe
from tests.metering.events import event
from tests.metering.ledger import hashed

PATH = "/api/v1/usage-events"


@pytest.fixture
def operator(seller):
    return operator_client(seller.tenant)


def listed(client, **query):
    answer = client.get(PATH, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def keys(client, **query):
    return [row["idempotencyKey"] for row in listed(client, **query)["content"]]


def walked(client, **query):
    """The keys of all pages, and how many pages there were."""
    found, pages = [], 0
    while True:
        page = listed(client, **query)
        found += [row["idempotencyKey"] for row in page["content"]]
        pages += 1
        if page["nextCursor"] is None:
            return found, pages
        query["cursor"] = page["nextCursor"]


def chain_of(client, row):
    answer = client.get(f"{PATH}/{row.pk}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def numbered(count, **fields):
    """Events a minute apart, the first the oldest."""
    return [
        event(number, occurredAt=f"2026-03-15T{8 + number // 60:02}:{number % 60:02}:00Z", **fields)
        for number in range(count)
    ]


def test_events_are_listed_latest_first_with_all_that_was_counted(seller, operator):
    seller.count(
        event(1, occurredAt="2026-03-15T10:00:00Z", sessionId="s-1", metadata={"model": "m"}),
        event(2, occurredAt="2026-03-15T11:00:00Z"),
    )
    page = listed(operator)
    latest, first = page["content"]
    assert [latest["idempotencyKey"], first["idempotencyKey"]] == ["key-2", "key-1"]
    assert first["customerExternalId"] == "cust_1"
    assert first["revenue"] == "0.02"
    assert first["cost"] == "0.001"
    assert first["metadata"] == '{"model":"m"}'
    assert first["sessionId"] == "s-1"
    assert (first["position"], latest["position"]) == (1, 2)
    assert page["nextCursor"] is None
    assert "totalElements" not in page
    assert page["data"]["content"] == page["content"]


def test_pages_follow_each_other_without_gap_or_repeat(seller, operator):
    seller.count(*numbered(25))
    found, pages = walked(operator, size=10)
    assert found == [f"key-{number}" for number in reversed(range(25))]
    assert pages == 3


def test_events_of_one_moment_are_paged_too(seller, operator):
    seller.count(*(event(number) for number in range(7)))
    found, pages = walked(operator, size=2)
    assert sorted(found) == sorted(f"key-{number}" for number in range(7))
    assert pages == 4


def test_what_comes_meanwhile_moves_nothing(seller, operator):
    seller.count(*numbered(4))
    page = listed(operator, size=2)
    seller.count(event(9, occurredAt="2026-03-15T11:59:00Z"))
    assert keys(operator, size=2, cursor=page["nextCursor"]) == ["key-1", "key-0"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"metric": "tokens"}, ["key-2"]),
        ({"sessionId": "s-1"}, ["key-1"]),
        ({"productType": "AGENT"}, ["key-2"]),
        ({"idempotencyKey": "key-1"}, ["key-1"]),
        ({"idempotencyKey": "nobody"}, []),
        ({"source": "API"}, ["key-3", "key-2", "key-1", "key-0"]),
        ({"source": "FILE"}, []),
        ({"late": "true"}, ["key-0"]),
        ({"late": "false"}, ["key-3", "key-2", "key-1"]),
        ({"customerId": "cust_2"}, ["key-3"]),
        ({"customerId": "nobody"}, []),
        ({"from": "2026-03-15T10:00:00Z"}, ["key-3", "key-2"]),
        ({"to": "2026-03-15T10:00:00Z"}, ["key-1", "key-0"]),
        ({"from": "2026-03-15T09:00:00Z", "to": "2026-03-15T10:00:00Z"}, ["key-1"]),
        ({"customerId": "cust_1", "metric": "calls", "late": "false"}, ["key-1"]),
    ],
)
def test_each_filter_narrows_the_list(seller, operator, query, found):
    subscribe(seller.tenant, "cust_2")
    seller.count(
        event(0, occurredAt="2026-03-13T00:00:00Z"),
        event(1, occurredAt="2026-03-15T09:00:00Z", sessionId="s-1"),
        event(2, occurredAt="2026-03-15T10:00:00Z", metricName="tokens", productType="AGENT"),
        event(3, occurredAt="2026-03-15T11:00:00Z", customerId="cust_2"),
    )
    assert keys(operator, **query) == found


def test_ids_of_batch_customer_and_subscription_narrow_the_list(seller, operator):
    subscription = subscribe(seller.tenant, "cust_2")
    seller.count(event(1))
    answer = seller.count(event(2, customerId="cust_2"), event(3, customerId="cust_2"))
    batch = answer.json()["batchId"]
    assert sorted(keys(operator, batchId=batch)) == ["key-2", "key-3"]
    assert sorted(keys(operator, customerId=subscription.customer_id)) == ["key-2", "key-3"]
    assert sorted(keys(operator, subscriptionId=subscription.id)) == ["key-2", "key-3"]
    assert keys(operator, subscriptionId=uuid4()) == []
    assert keys(operator, batchId=uuid4()) == []


def test_unbilled_events_of_a_customer_are_found_with_the_billed_ones(seller, operator):
    BillableUnitFactory(tenant=seller.tenant, name="unpriced")
    catalog_changed(seller.tenant)
    seller.count(event(1), event(2, metricName="unpriced", occurredAt="2026-03-15T11:30:00Z"))
    assert keys(operator, customerId="cust_1") == ["key-2", "key-1"]
    first = listed(operator, customerId="cust_1")["content"][0]
    assert first["runningTotalId"] is None
    assert first["revenue"] == "0"


@pytest.mark.parametrize("few", [0, 3])
def test_a_customer_with_many_events_is_found_among_all_others(seller, operator, monkeypatch, few):
    monkeypatch.setattr(usage, "FEW", few)
    monkeypatch.setattr(usage, "WALKED", 4)
    subscribe(seller.tenant, "cust_2")
    seller.count(*numbered(10))
    seller.count(event(20, customerId="cust_2", occurredAt="2026-03-15T07:00:00Z"))
    found, pages = walked(operator, customerId="cust_2", size=2)
    assert found == ["key-20"]
    assert pages == (1 if few else 3)
    everything, _ = walked(operator, customerId="cust_1", size=3)
    assert everything == [f"key-{number}" for number in reversed(range(10))]


def test_a_rare_thing_is_found_on_a_later_page(seller, operator, monkeypatch):
    monkeypatch.setattr(usage, "WALKED", 4)
    seller.count(event(99, sessionId="rare", occurredAt="2026-03-15T07:00:00Z"), *numbered(11))
    empty = listed(operator, sessionId="rare")
    assert empty["content"] == []
    assert empty["nextCursor"]
    assert walked(operator, sessionId="rare") == (["key-99"], 3)


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"cursor": "MTIz"},
        {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OjE"},
        {"size": "0"},
        {"size": "many"},
        {"idempotencyKey": "a\x00b"},
    ],
)
def test_an_unreadable_question_is_a_bad_request(operator, query):
    assert operator.get(PATH, query).status_code == 400


@pytest.mark.parametrize(
    "query", [{"batchId": "x"}, {"from": "yesterday"}, {"late": "perhaps"}, {"customerId": ""}]
)
def test_a_wrong_filter_is_refused(operator, query):
    assert operator.get(PATH, query).status_code == 422


def test_size_is_bounded(seller, operator):
    seller.count(*numbered(3))
    assert listed(operator, size=1000)["meta"] == {"size": 200}


def test_another_tenant_sees_nothing(seller, operator):
    seller.count(event(1))
    row = UsageEvent.objects.get()
    stranger = operator_client(TenantFactory())
    assert listed(stranger)["content"] == []
    for query in (
        {"idempotencyKey": "key-1"},
        {"batchId": row.batch_id},
        {"customerId": row.customer_id},
        {"subscriptionId": row.subscription_id},
        {"metric": "calls"},
    ):
        assert keys(stranger, **query) == []
    for event_id in (row.pk, row.pk + 1, 2**70):
        assert stranger.get(f"{PATH}/{event_id}").status_code == 404
    assert operator.get(f"{PATH}/{row.pk + 1}").status_code == 404


def test_a_metering_key_does_not_list_events(seller):
    answer = seller.client.get(PATH, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 401


def test_the_chain_of_an_event_says_where_it_came_from(seller, operator):
    answer = seller.count(event(0), event(1, metadata={"model": "m"}))
    row = UsageEvent.objects.get(idempotency_key="key-1")
    told = chain_of(operator, row)
    key = ApiKey.objects.get(tenant=seller.tenant, kind="METERING")
    receipt = Receipt.objects.get()
    assert told["id"] == str(row.pk)
    assert told["apiKey"] == {
        "id": str(key.pk),
        "name": key.name,
        "prefix": TOKEN[:8],
        "lastFour": TOKEN[-4:],
    }
    assert TOKEN not in json.dumps(told)
    assert told["receipt"]["batchId"] == answer.json()["batchId"]
    assert told["receipt"]["door"] == "/v1/ingest/batch"
    assert told["receipt"]["source"] == "API"
    assert (told["receipt"]["eventCount"], told["receipt"]["counted"]) == (2, 2)
    assert set(told["receipt"]["steps"]) == set(receipt.steps)
    assert {"decode", "judge", "rate"} <= set(told["receipt"]["steps"])
    assert json.loads(told["raw"]) == event(1, metadata={"model": "m"})


def test_the_chain_of_an_event_says_what_the_gates_found(seller, operator):
    seller.count(event(1), event(2, occurredAt="2026-03-13T12:00:00Z"))
    on_time, late = UsageEvent.objects.order_by("-occurred_at")
    gates = chain_of(operator, on_time)["gates"]
    assert [(gate["gate"], gate["verdict"]) for gate in gates] == [
        ("schema", "PASSED"),
        ("timestamp", "PASSED"),
        ("idempotency", "PASSED"),
        ("latency", "PASSED"),
    ]
    assert all(gate["at"] for gate in gates)
    told = chain_of(operator, late)
    assert told["gates"][3]["verdict"] == "FLAGGED"
    assert told["latenessSeconds"] == "172800"


def test_the_chain_of_an_event_says_who_is_billed_under_which_price(seller, operator):
    seller.count(event(1))
    told = chain_of(operator, UsageEvent.objects.get())
    total = RunningTotal.objects.get()
    context = told["enrichment"]
    assert context["customerExternalId"] == "cust_1"
    assert context["foundBy"] == "EXTERNAL_ID"
    assert context["billableUnit"] == "calls"
    assert context["aggregation"] == "COUNT"
    assert context["planVersion"] == 1
    assert context["terms"] == {"model": "PER_UNIT", "rate": "0.02"}
    assert context["periodStart"] == "2026-03-01T00:00:00Z"
    assert context["periodEnd"] == "2026-04-01T00:00:00Z"
    assert told["routing"] == {
        "decision": "COUNTED",
        "runningTotalId": str(total.id),
        "position": 1,
        "billed": False,
        "heldStatus": None,
        "heldReason": None,
        "alsoCountedAs": [],
    }
    assert told["price"] == {
        "quantity": "1",
        "revenue": "0.02",
        "cost": "0.001",
        "currency": "USD",
    }


def test_the_chain_says_by_which_name_the_customer_was_found(seller, operator):
    customer = subscribe(seller.tenant, "cust_2").customer
    CustomerAliasFactory(customer=customer, label="an-app")
    seller.count(
        event(1, customerId="cust_2"),
        event(2, customerId=str(customer.pk)),
        event(3, customerId="an-app"),
    )
    found = [
        chain_of(operator, row)["enrichment"]["foundBy"]
        for row in UsageEvent.objects.order_by("idempotency_key")
    ]
    assert found == ["EXTERNAL_ID", "OWN_ID", "ALIAS"]


def test_the_proof_is_what_the_standard_library_computes(seller, operator):
    seller.count(event(1), event(2))
    first, second = UsageEvent.objects.order_by("position")
    proof = chain_of(operator, second)["proof"]
    secret = bytes(seller.tenant.hash_secret)
    key = hmac.digest(secret, f"running_total:{second.running_total_id}".encode(), "sha256")
    event_hash = hmac.digest(key, hashed(second), "sha256")
    assert proof == {
        "hash": event_hash.hex(),
        "digestBefore": bytes(first.digest).hex(),
        "digest": hashlib.sha256(bytes(first.digest) + event_hash).hexdigest(),
        "verified": True,
    }


def test_an_event_that_was_tampered_with_is_not_verified(seller, operator):
    seller.count(event(1))
    UsageEvent.objects.update(quantity=2)
    assert chain_of(operator, UsageEvent.objects.get())["proof"]["verified"] is False


def test_the_same_event_of_two_units_names_its_siblings(seller, operator):
    BillableUnitFactory(tenant=seller.tenant, name="all calls", source_metric="calls")
    catalog_changed(seller.tenant)
    seller.count(event(1))
    counted, unbilled = UsageEvent.objects.order_by("running_total_id")
    told = chain_of(operator, counted)
    assert told["routing"]["alsoCountedAs"] == [str(unbilled.pk)]
    told = chain_of(operator, unbilled)
    assert told["routing"]["decision"] == "UNBILLED"
    assert told["proof"] is None
    assert told["enrichment"]["terms"] is None


def test_what_is_not_kept_any_more_is_null(seller, operator):
    seller.count(event(1))
    RawPayload.objects.all().delete()
    Receipt.objects.all().delete()
    told = chain_of(operator, UsageEvent.objects.get())
    assert (told["raw"], told["receipt"], told["apiKey"]) == (None, None, None)
    assert told["enrichment"]["foundBy"] is None
    assert told["proof"]["verified"] is True


def test_a_billed_event_says_so(seller, operator):
    seller.count(event(1))
    RunningTotal.objects.update(
        billed_position=1, billed_quantity=1, billed_event_count=1, billed_revenue="0.02"
    )
    assert chain_of(operator, UsageEvent.objects.get())["routing"]["billed"] is True


@pytest.mark.parametrize("name", ["raw", "receipt"])
def test_the_chain_of_a_batch_id_that_is_no_uuid7_is_read_as_well(seller, operator, name):
    seller.count(event(1))
    odd = UUID(int=7)
    UsageEvent.objects.update(batch_id=odd)
    assert chain_of(operator, UsageEvent.objects.get())[name] is None
