from decimal import Decimal

import msgspec
import pytest

from metering.ingest.events import Refusal
from webhooks.inbound.mapping import Headers, Paths, Reading, event_type, made_of
from webhooks.inbound.paths import InvalidPath, Search, compiled

REGISTERED = Paths("$.customer_id", "$.metric_id", "$.body.quantity", "$.event_timestamp")
NATIVE = {
    "customerId": "cust_1",
    "metricName": "calls",
    "quantity": 2,
    "occurredAt": "2026-03-15T11:00:00Z",
    "idempotencyKey": "key-1",
}


def event(payload, paths=REGISTERED, header_id=""):
    """The one event of a payload, or why it is none."""
    made = made_of(payload, Reading("s", paths), Headers(event_id=header_id))
    return made.why or made.events[0]


def key_of(payload, paths, header_id=""):
    return event({"customerId": "a", "metricName": "b"} | payload, paths, header_id)[
        "idempotencyKey"
    ]


def kind_of(payload, paths):
    return event_type(payload, Reading("s", paths), Headers(), Search())


def test_fields_are_found_at_their_paths():
    payload = {
        "customer_id": "cust_1",
        "metric_id": "calls",
        "body": {"quantity": Decimal("2.50")},
        "event_timestamp": "2026-03-15T11:00:00Z",
        "event_id": 7,
        "region": "eu",
        "nested": {"is": "left out"},
    }
    assert event(payload) == {
        "customerId": "cust_1",
        "metricName": "calls",
        "quantity": Decimal("2.50"),
        "occurredAt": "2026-03-15T11:00:00Z",
        "idempotencyKey": "webhook:s:7",
        "metadata": {
            "customer_id": "cust_1",
            "metric_id": "calls",
            "event_timestamp": "2026-03-15T11:00:00Z",
            "event_id": 7,
            "region": "eu",
        },
    }


def test_where_a_path_finds_nothing_our_own_names_are_looked_for():
    assert event(NATIVE) == NATIVE


def test_own_fields_and_metadata_are_kept():
    more = {"sessionId": "s-1", "metadata": {"model": "large"}, "note": "x"}
    made = event(NATIVE | more)
    assert made["sessionId"] == "s-1"
    assert made["metadata"] == {"note": "x", "model": "large"}


def test_metadata_that_is_too_large_is_left_to_the_delivery():
    assert "metadata" not in event(NATIVE | {"note": "x" * 16_384})


@pytest.mark.parametrize(
    ("value", "occurred"),
    [
        (1773572400, 1773572400000),
        ("1773572400", 1773572400000),
        (1773572400123, 1773572400123),
        (Decimal("1773572400.5"), Decimal("1773572400500.0")),
        ("2026-03-15", "2026-03-15"),
    ],
)
def test_times_are_texts_seconds_or_milliseconds(value, occurred):
    assert event(NATIVE | {"event_timestamp": value})["occurredAt"] == occurred


@pytest.mark.parametrize(
    ("payload", "code", "where"),
    [
        ([], "INVALID_EVENT", "object"),
        ("x", "INVALID_EVENT", "object"),
        ({}, "INVALID_EVENT", "$.customer_id"),
        ({"customerId": {}}, "INVALID_EVENT", "$.customer_id"),
        ({"customerId": "a"}, "INVALID_EVENT", "$.metric_id"),
        ({"customerId": "a", "metricName": "b"}, "MISSING_FIELD", "$.body.quantity"),
    ],
)
def test_what_cannot_be_mapped_says_where_it_was_looked_for(payload, code, where):
    refused = event(payload)
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert where in refused.detail


def test_a_source_of_one_metric_counts_pushes():
    made = event({"customerId": "a", "id": "e"}, Paths(default_metric="pushes"))
    assert (made["metricName"], made["quantity"]) == ("pushes", 1)


def test_the_key_is_what_the_sender_says_or_all_of_the_payload():
    paths = Paths(event_id="$.data.ref")
    keys = [
        key_of(payload, paths, header)
        for payload, header in [
            ({"idempotencyKey": "own", "data": {"ref": "r"}, "id": "i"}, "h"),
            ({"data": {"ref": "r"}, "id": "i"}, "h"),
            ({"id": "i"}, "h"),
            ({"id": "i"}, ""),
        ]
    ]
    assert keys == ["own", "webhook:s:r", "webhook:s:h", "webhook:s:i"]
    whole = [key_of(one, paths) for one in ({"a": 1}, {"a": 2})]
    assert whole[0] != whole[1]
    same = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert len({key_of(one, paths) for one in same}) == 1


def test_in_an_array_a_payload_is_known_by_its_own_id_or_by_its_place():
    """A header names the push; all but one of its payloads would conflict."""
    reading, said = Reading("s"), Headers(event_id="h")

    def keys(*payloads):
        both = [{"customerId": "a", "metricName": "b"} | one for one in payloads]
        made = [made_of(one, reading, said.of(place, len(both))) for place, one in enumerate(both)]
        return [one.events[0]["idempotencyKey"] for one in made]

    assert keys({}, {"n": 1}, {"id": "own"}) == ["webhook:s:h:0", "webhook:s:h:1", "webhook:s:own"]
    assert keys({"id": "own"}) == ["webhook:s:h"]


def test_the_type_is_at_its_path_or_under_a_usual_name():
    assert kind_of({"data": {"kind": "a"}, "type": "b"}, Paths(event_type="$.data.kind")) == "a"
    assert kind_of({"type": "b"}, Paths(event_type="$.data.kind")) == "b"
    assert kind_of({"eventType": "c"}, Paths()) == "c"
    assert kind_of({"type": {}}, Paths()) == ""
    assert kind_of([], Paths()) == ""


@pytest.mark.parametrize("path", ["", "$.", "$[", "a b", "'", "((("])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InvalidPath):
        compiled(path)


def test_large_numbers_survive():
    made = event(NATIVE | {"quantity": 10**30})
    assert b"1" + b"0" * 30 in msgspec.json.encode(made)
