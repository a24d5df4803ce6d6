"""Costs over HTTP: kept once, named when refused, listed."""

import random

import msgspec
import pytest

from aforo.tenancy.models import ApiKey
from catalog import aliases
from catalog.models import CustomerAlias
from metering.models import CostEvent, InboxBatch
from tests.clients import operator_client
from tests.factories import NOW, CustomerFactory, OperatorKeyFactory, TenantFactory
from tests.threads import in_threads

PATH = "/v1/ingest/cogs"
COST = {
    "kind": "AI_INFERENCE",
    "amount": "0.0123",
    "currency": "USD",
    "customerId": "cust_1",
    "idempotencyKey": "cost-1",
    "usageKey": "key-1",
    "occurredAt": "2026-03-15T11:00:00Z",
    "metadata": {"model": "large"},
}


def send(seller, *costs, **headers):
    return seller.post(msgspec.json.encode({"events": costs}), path=PATH, **headers)


def cost(number=1, **fields):
    whole = COST | {"idempotencyKey": f"cost-{number}"} | fields
    return {name: value for name, value in whole.items() if value is not ...}


def refusals(answer):
    return [(error["index"], error["code"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    "body", [COST, {"events": [COST]}, [COST]], ids=["one", "events", "bare array"]
)
def test_each_shape_is_kept(seller, body):
    answer = seller.post(msgspec.json.encode(body), path=PATH)

    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 0,
        "failed": 0,
        "errors": [],
        "killedSessionIds": [],
        "batchId": None,
    }
    (kept,) = CostEvent.objects.all()
    assert (kept.kind, str(kept.amount), kept.currency) == ("AI_INFERENCE", "0.0123", "USD")
    assert (kept.idempotency_key, kept.usage_key) == ("cost-1", "key-1")
    assert kept.occurred_at.isoformat() == "2026-03-15T11:00:00+00:00"
    assert kept.received_at == NOW
    assert kept.metadata == '{"model":"large"}'
    assert kept.tenant == seller.tenant
    assert not InboxBatch.objects.exists()  # a cost is no usage


def test_the_same_cost_counts_once_and_another_one_is_a_conflict(seller):
    send(seller, cost(1))

    answer = send(
        seller,
        cost(1),
        cost(1, amount="0.01230"),
        cost(1, amount="2"),
        cost(2),
        cost(2),
        cost(2, currency="EUR"),
        cost(3),
    )

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    assert answer.json()["duplicates"] == 3
    assert refusals(answer) == [(2, "IDEMPOTENCY_CONFLICT"), (5, "IDEMPOTENCY_CONFLICT")]
    assert CostEvent.objects.count() == 3


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "RENT"}, "INVALID_EVENT"),
        ({"kind": ...}, "INVALID_EVENT"),
        ({"amount": ...}, "INVALID_EVENT"),
        ({"amount": "-1"}, "INVALID_AMOUNT"),
        ({"amount": "NaN"}, "INVALID_AMOUNT"),
        ({"amount": "1e1000000"}, "INVALID_AMOUNT"),
        ({"amount": "0.0000000000001"}, "INVALID_AMOUNT"),
        ({"currency": "XXXX"}, "INVALID_EVENT"),
        ({"currency": "usd"}, "INVALID_EVENT"),
        ({"customerId": "nobody"}, "UNKNOWN_CUSTOMER"),
        ({"customerId": ""}, "INVALID_EVENT"),
        ({"customerId": "alias:" + "0" * 64}, "INVALID_EVENT"),
        ({"occurredAt": "2026-03-15T12:06:00Z"}, "TIMESTAMP_IN_FUTURE"),
        ({"occurredAt": "2025-03-15T12:06:00Z"}, "TIMESTAMP_TOO_OLD"),
        ({"idempotencyKey": ""}, "INVALID_EVENT"),
        ({"usageKey": "k" * 4097}, "INVALID_EVENT"),
        ({"metadata": [1]}, "INVALID_EVENT"),
    ],
)
def test_a_bad_cost_is_named_and_sinks_nobody(seller, fields, code):
    answer = send(seller, cost(1), cost(2, **fields), cost(3))

    assert answer.status_code == 202
    assert refusals(answer) == [(1, code)]
    assert sorted(CostEvent.objects.values_list("idempotency_key", flat=True)) == [
        "cost-1",
        "cost-3",
    ]


def test_when_every_cost_is_refused_the_request_is(seller):
    answer = send(seller, cost(1, kind="RENT"), cost(2, amount="-1"))

    assert answer.status_code == 422
    assert answer.json()["code"] == "INVALID_EVENT"
    assert refusals(answer) == [(0, "INVALID_EVENT"), (1, "INVALID_AMOUNT")]
    assert "amount" in answer.json()["errors"][1]["error"]
    assert not CostEvent.objects.exists()


def test_a_customer_may_be_named_by_an_alias_even_a_secret_one(seller):
    customer = CustomerFactory(tenant=seller.tenant, external_id="cust_9")
    secret = "sk_live_customers_own"
    CustomerAlias.objects.create(
        tenant=seller.tenant,
        customer=customer,
        digest=aliases.digest_of(seller.tenant.pk, secret),
        created_at=NOW,
    )

    answer = send(seller, cost(1, customerId=secret, apiKey=secret, region="eu"))

    assert answer.status_code == 202
    (kept,) = CostEvent.objects.all()
    assert kept.customer_id == customer.pk
    assert kept.metadata == '{"apiKey":"[removed]","region":"eu","model":"large"}'


def test_a_key_may_come_in_the_header_or_be_made(seller):
    by_header = send(seller, cost(idempotencyKey=...), **{"Idempotency-Key": "from-header"})
    made = send(seller, cost(idempotencyKey=...), cost(idempotencyKey=...))

    assert "idempotencyKeys" not in by_header.json()
    keys = set(CostEvent.objects.values_list("idempotency_key", flat=True))
    assert keys == {"from-header", *made.json()["idempotencyKeys"].values()}
    assert len(keys) == 3


def test_who_may_not_send_is_refused(seller):
    assert seller.client.post(PATH, b"{}", content_type="application/json").status_code == 401
    assert seller.client.get(PATH).status_code == 405
    assert seller.post(b"", path=PATH).status_code == 400
    assert seller.post(b"[1", path=PATH).status_code == 400
    assert send(seller, cost(), **{"X-Tenant-Id": "other"}).status_code == 403
    operator = OperatorKeyFactory(tenant=seller.tenant)
    seller.token = operator.secret
    assert send(seller, cost()).status_code == 401
    assert not CostEvent.objects.exists()


def test_a_revoked_key_is_refused_at_once(seller):
    send(seller, cost(1))
    key = ApiKey.objects.get(tenant=seller.tenant)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=NOW)

    assert send(seller, cost(2)).status_code == 401
    assert CostEvent.objects.count() == 1


def test_costs_are_listed_newest_first_in_pages(seller):
    CustomerFactory(tenant=seller.tenant, external_id="cust_2")
    for number in range(5):
        send(seller, cost(number, customerId=f"cust_{1 + number % 2}", amount=str(number)))
    client = operator_client(seller.tenant)

    first = client.get("/api/v1/cost-events?size=2").json()
    second = client.get(f"/api/v1/cost-events?size=2&cursor={first['nextCursor']}").json()
    last = client.get(f"/api/v1/cost-events?size=2&cursor={second['nextCursor']}").json()

    amounts = [row["amount"] for page in (first, second, last) for row in page["content"]]
    assert amounts == ["4", "3", "2", "1", "0"]
    assert last["nextCursor"] is None
    of_second = client.get("/api/v1/cost-events?customerId=cust_2").json()["content"]
    assert [row["amount"] for row in of_second] == ["3", "1"]
    assert client.get("/api/v1/cost-events?kind=OTHER").json()["content"] == []
    assert client.get("/api/v1/cost-events?customerId=nobody").json()["content"] == []
    one = client.get(f"/api/v1/cost-events/{of_second[0]['id']}").json()
    assert (one["usageKey"], one["metadata"]) == ("key-1", {"model": "large"})
    assert client.get("/api/v1/cost-events?cursor=x").status_code == 400


def test_nobody_sees_the_costs_of_others(seller):
    send(seller, cost(1))
    stranger = operator_client(TenantFactory())

    assert stranger.get("/api/v1/cost-events").json()["content"] == []
    own = CostEvent.objects.get()
    assert stranger.get(f"/api/v1/cost-events/{own.pk}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_many_senders_of_the_same_costs_keep_each_once(seller):
    """In whatever order they come: keys are sorted, so nobody waits in a circle."""

    def sends(index):
        numbers = list(range(50))
        random.Random(index).shuffle(numbers)
        return send(seller, *map(cost, numbers)).json()

    answers = in_threads(6, sends)

    assert CostEvent.objects.count() == 50
    assert sum(answer["accepted"] for answer in answers) == 50
    assert sum(answer["duplicates"] for answer in answers) == 250
