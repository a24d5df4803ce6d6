"""Lago's events become ours."""

import msgspec
import pytest

from aforo.errors import Unreadable
from metering.compat import lago
from tests.metering.compat.translated import codes_of, events_of

SUBSCRIPTION = "01a1fd9b-2b7a-752f-9537-3c931dfc31c2"
EVENT = {
    "transaction_id": "tx-1",
    "external_subscription_id": "sub_1",
    "code": "tokens",
    "timestamp": 1773572400,
    "properties": {"tokens": 40, "model": "large"},
}
OURS = {
    "customerId": "sub_1",
    "metricName": "tokens",
    "quantity": 40,
    "idempotencyKey": "tx-1",
    "metadata": {"external_subscription_id": "sub_1", "tokens": 40, "model": "large"},
    "occurredAt": "2026-03-15T11:00:00+00:00",
}
TOKENS = {"tokens": frozenset({"tokens"})}


def nobody(ids):
    return {}


def batch(*events, subscribers=nobody):
    body = msgspec.json.encode({"events": events})
    return lago.batch(body, value_fields=TOKENS, subscribers=subscribers)


def test_a_single_event_is_one_of_ours():
    body = msgspec.json.encode({"event": EVENT})
    assert events_of(lago.single(body, value_fields=TOKENS, subscribers=nobody)) == [OURS]


def test_a_batch_is_an_array_of_them():
    assert events_of(batch(EVENT, EVENT)) == [OURS, OURS]


@pytest.mark.parametrize(
    ("timestamp", "occurred"),
    [
        (1773572400, "2026-03-15T11:00:00+00:00"),
        ("1773572400", "2026-03-15T11:00:00+00:00"),
        (1773572400.25, "2026-03-15T11:00:00.250000+00:00"),
        ("1773572400.123456", "2026-03-15T11:00:00.123456+00:00"),
        ("2026-03-15T11:00:00Z", "2026-03-15T11:00:00Z"),
        (None, None),
    ],
)
def test_a_timestamp_is_seconds_or_text(timestamp, occurred):
    (made,) = events_of(batch(EVENT | {"timestamp": timestamp}))
    assert made.get("occurredAt") == occurred


@pytest.mark.parametrize("timestamp", ["NaN", "Infinity", 10**18, "1e999999", -(10**14), []])
def test_no_calendar_holds_it(timestamp):
    assert codes_of(batch(EVENT | {"timestamp": timestamp})) == {0: "INVALID_TIMESTAMP"}


def test_the_customer_is_named_or_has_the_subscription():
    by_name = EVENT | {"external_customer_id": "cust_1"}
    by_own_id = EVENT | {"external_subscription_id": SUBSCRIPTION}
    asked = []

    def subscribers(ids):
        asked.append(set(ids))
        return {SUBSCRIPTION: "cust_7"}

    made = events_of(batch(by_name, by_own_id, EVENT, subscribers=subscribers))
    assert [event["customerId"] for event in made] == ["cust_1", "cust_7", "sub_1"]
    assert asked == [{SUBSCRIPTION}]


@pytest.mark.parametrize("name", ["transaction_id", "code", "external_subscription_id"])
def test_an_event_without_what_it_needs_is_refused_as_it_came(name):
    bad = EVENT | {name: None}
    made = batch(bad, EVENT)
    assert events_of(made) == [bad, OURS]
    assert codes_of(made) == {0: "INVALID_EVENT"}
    assert name in made.refused[0].detail


def test_properties_are_an_object_or_absent():
    (made,) = events_of(batch(EVENT | {"code": "calls", "properties": None}))
    assert made["quantity"] == 1
    assert codes_of(batch(EVENT | {"properties": [1]})) == {0: "INVALID_EVENT"}
    assert codes_of(batch(EVENT | {"properties": {}})) == {0: "MISSING_FIELD"}


def test_an_amount_that_came_along_is_kept():
    (made,) = events_of(batch(EVENT | {"precise_total_amount_cents": "12.5"}))
    assert made["metadata"]["precise_total_amount_cents"] == "12.5"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"events": {}}', b'{"event": {}}', b"{"])
def test_a_body_of_another_shape_is_unreadable(body):
    with pytest.raises(Unreadable):
        lago.batch(body, value_fields={}, subscribers=nobody)
