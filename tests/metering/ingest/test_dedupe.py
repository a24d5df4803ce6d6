"""The judge of duplicates: a key counts once, for good, and only for the event that counted."""

import pytest

from metering.models import DeadLetter, EventKey
from tests.factories import ApiKeyFactory, BillableUnitFactory, CustomerFactory, TenantFactory
from tests.metering.conftest import subscribe
from tests.metering.events import codes, event, outcomes, rows, the_total

CONFLICT = "IDEMPOTENCY_CONFLICT"
SAME = [
    ({}, {}),
    ({"quantity": 1}, {"quantity": 1.0}),
    ({"quantity": "1.50"}, {"quantity": 1.5}),
    ({"quantity": 100}, {"quantity": "1e2"}),
    ({"quantity": 0}, {"quantity": "-0"}),
    ({"quantity": 0}, {"quantity": "0e7"}),
    ({"occurredAt": "2026-03-15T11:00:00Z"}, {"occurredAt": "2026-03-15T12:00:00+01:00"}),
    ({"occurredAt": "2026-03-15T11:00:00"}, {"occurredAt": "2026-03-15T11:00:00.000Z"}),
    ({"occurredAt": 1773572400000}, {"occurredAt": "2026-03-15T11:00:00Z"}),
    ({"occurredAt": ...}, {"occurredAt": None}),
    ({"metadata": {}}, {"metadata": {}}),
    ({"metadata": ...}, {"metadata": None}),
    ({"sessionId": "one"}, {"sessionId": "other"}),
]
OTHER = [
    ({"quantity": 1}, {"quantity": 2}),
    ({"quantity": 1}, {"quantity": "1.000000000001"}),
    ({"metricName": "calls"}, {"metricName": "tokens"}),
    ({"customerId": "cust_1"}, {"customerId": "cust_2"}),
    ({"occurredAt": "2026-03-15T11:00:00Z"}, {"occurredAt": "2026-03-15T11:00:00.000001Z"}),
    ({"occurredAt": "2026-03-01T11:00:00Z"}, {"occurredAt": "2026-03-15T11:00:00Z"}),
    ({"occurredAt": "2026-03-15T12:00:00Z"}, {"occurredAt": ...}),
    ({"metadata": {"a": 1}}, {"metadata": {"a": 2}}),
    ({"metadata": {"a": 1}}, {"metadata": ...}),
]
names = [f"{first} {second}".replace("Ellipsis", "absent") for first, second in SAME]


@pytest.fixture
def two_customers(seller):
    subscribe(seller.tenant, "cust_2")
    return seller


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
@pytest.mark.parametrize(("first", "second"), SAME, ids=names)
def test_the_same_event_again_is_a_duplicate(seller, together, first, second):
    one, other = event(**first), event(**second)
    if together:
        seller.count(one, other)
    else:
        seller.count(one)
        seller.count(other)
    assert outcomes() == {"counted": 1, "duplicates": 1}
    assert codes() == []
    assert the_total().event_count == 1


@pytest.mark.parametrize("how", ["one batch", "one drain", "two drains"])
@pytest.mark.parametrize(("first", "second"), OTHER)
def test_a_key_used_for_another_event_is_a_conflict(two_customers, how, first, second):
    seller, one, other = two_customers, event(**first), event(**second)
    if how == "one batch":
        seller.send(one, other)
    else:
        seller.send(one)
        if how == "two drains":
            seller.drain()
        seller.send(other)
    seller.drain()
    assert outcomes() == {"counted": 1, "dead": 1}
    assert codes() == [CONFLICT]


def test_the_first_of_a_key_counts_in_the_order_of_arrival(seller):
    seller.send(event(metricName="tokens", quantity=5))
    seller.send(event(metricName="tokens", quantity=7))
    seller.drain()
    assert [row.quantity for row in rows()] == [5]


def test_keys_are_exact(seller):
    seller.count(*(event(idempotencyKey=key) for key in ("k", "K", "k ", "\u00e9", "e\u0301")))
    assert outcomes() == {"counted": 5}


def test_an_mqtt_key_of_4096_characters_is_told_from_its_neighbour(seller):
    keys = ("t/#/+" * 819 + "a", "t/#/+" * 819 + "b")
    seller.count(*(event(idempotencyKey=key) for key in keys))
    assert [row.idempotency_key for row in rows()] == list(keys)


def test_the_key_of_another_tenant_is_no_duplicate(seller):
    seller.count(event())
    other = TenantFactory(unknown_metric="ACCEPT_UNBILLED")
    BillableUnitFactory(tenant=other, name="calls")
    CustomerFactory(tenant=other, external_id="cust_1")
    seller.token = ApiKeyFactory(tenant=other).secret
    seller.count(event(occurredAt=...))
    assert codes() == ["NO_SUBSCRIPTION"]
    assert outcomes() == {"counted": 1, "dead": 1}


def test_a_repeat_is_told_by_the_answer_only_within_its_request(seller):
    first = seller.count(event(1), event(1))
    second = seller.count(event(1))
    assert (first.json()["accepted"], first.json()["duplicates"]) == (1, 1)
    assert (second.json()["accepted"], second.json()["duplicates"]) == (1, 0)
    assert outcomes(second) == {"duplicates": 1}


# --- a dead letter never holds its key -----------------------------------------------------


def test_an_event_of_an_unknown_customer_counts_once_the_customer_is_there(seller):
    seller.count(event(customerId="cust_9"))
    assert codes() == ["UNKNOWN_CUSTOMER"]
    assert EventKey.objects.count() == 0
    subscribe(seller.tenant, "cust_9")
    seller.count(event(customerId="cust_9"))
    assert outcomes() == {"counted": 1, "dead": 1}


def test_an_event_refused_at_the_door_holds_no_key(seller):
    seller.count(event(quantity=-1))
    seller.count(event(quantity=1))
    assert outcomes() == {"counted": 1, "dead": 1}


@pytest.mark.parametrize("how", ["one batch", "one drain", "two drains"])
def test_a_mended_event_counts_however_soon_it_comes(seller, how):
    wrong, right = event(customerId="cust_9"), event(customerId="cust_1")
    if how == "one batch":
        seller.send(wrong, right)
    else:
        seller.send(wrong)
        if how == "two drains":
            seller.drain()
        seller.send(right)
    seller.drain()
    assert outcomes() == {"counted": 1, "dead": 1}
    assert codes() == ["UNKNOWN_CUSTOMER"]


@pytest.mark.parametrize("how", ["one batch", "one drain", "two drains"])
def test_the_same_refusal_again_raises_its_occurrences(seller, how):
    wrong = event(customerId="cust_9")
    if how == "one batch":
        seller.send(wrong, wrong)
    else:
        seller.send(wrong)
        if how == "two drains":
            seller.drain()
        seller.send(wrong)
    seller.drain()
    (letter,) = DeadLetter.objects.all()
    assert (letter.code, letter.occurrences) == ("UNKNOWN_CUSTOMER", 2)
    assert outcomes() == {"dead": 2}
    assert EventKey.objects.count() == 0


def test_a_homeless_event_that_repeats_a_counted_one_is_judged_by_its_key(seller):
    seller.count(event(1))
    seller.count(event(1), event(1, customerId="cust_9"), event(2, customerId="cust_9"))
    assert outcomes() == {"counted": 1, "duplicates": 1, "dead": 2}
    assert codes() == [CONFLICT, "UNKNOWN_CUSTOMER"]
