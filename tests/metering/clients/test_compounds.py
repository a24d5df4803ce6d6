"""The compound helpers of gateways: one request, several measurements, all or nothing."""

import json

import pytest

from tests.metering.clients.wire import SUM, assert_repeats_change_nothing, counted, post, told
from tests.metering.events import codes, inbox, outcomes, rows, stored_events

ONE, BATCH = "/api/v1/ingest/compound", "/api/v1/ingest/compound/batch"
MS = 1773574267068
TOKENS = {"input-tokens": SUM, "output-tokens": SUM, "total-tokens": SUM}


def compound(number=1, **fields):
    """What the helpers make of an answer of a language model."""
    whole = {
        "correlationId": f"req-{number}",
        "customerId": "cust_llm",
        "occurredAt": MS,
        "metadata": {"model": "large", "gateway": "kong"},
        "measurements": [
            {"metricName": "input-tokens", "quantity": 812, "dimensionKey": "large"},
            {"metricName": "output-tokens", "quantity": 96, "dimensionKey": "large"},
            {"metricName": "total-tokens", "quantity": 908},
        ],
    } | fields
    return {name: value for name, value in whole.items() if value is not ...}


@pytest.fixture(autouse=True)
def customer(sell):
    return sell("cust_llm", **TOKENS)


def send(seller, body, path=ONE, **headers):
    return post(seller, body, path=path, **{"X-Tenant-Id": seller.tenant.slug}, **headers)


def keys():
    return sorted(row.idempotency_key for row in rows())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ONE, compound()),
        (ONE, compound(occurredAt="2026-03-15T11:31:07.068Z")),
        (BATCH, {"events": [compound()]}),
        (BATCH, [compound()]),
        (ONE, {"events": [compound()]}),
    ],
    ids=["kong", "azure", "aws, mulesoft, apigee", "bare array", "envelope"],
)
def test_a_compound_becomes_an_event_per_measurement(seller, path, body):
    assert told(send(seller, body, path)) == (3, 0, 0)
    seller.drain()
    assert counted() == {"input-tokens": "812", "output-tokens": "96", "total-tokens": "908"}
    assert keys() == [
        "req-1:input-tokens:large",
        "req-1:output-tokens:large",
        "req-1:total-tokens",
    ]
    by_metric = {row.metric: row for row in rows()}
    assert json.loads(by_metric["input-tokens"].metadata) == {
        "correlationId": "req-1",
        "dimensionKey": "large",
        "model": "large",
        "gateway": "kong",
    }
    assert {row.occurred_at.isoformat() for row in rows()} == {"2026-03-15T11:31:07.068000+00:00"}
    assert_repeats_change_nothing(seller, lambda: send(seller, body, path))


def test_a_batch_is_counted_compound_by_compound(seller):
    body = {"events": [compound(number) for number in range(40)]}
    assert told(send(seller, body, BATCH)) == (120, 0, 0)
    seller.drain()
    assert counted() == {"input-tokens": "32480", "output-tokens": "3840", "total-tokens": "36320"}
    overlapping = {"events": [compound(number) for number in range(20, 41)]}
    assert told(send(seller, overlapping, BATCH)) == (63, 0, 0)
    seller.drain()
    assert outcomes() == {"counted": 123, "duplicates": 60}


def test_one_refused_measurement_refuses_its_compound_and_no_other(seller):
    bad = compound(2)
    bad["measurements"][1]["quantity"] = -1
    answer = send(seller, {"events": [compound(1), bad, compound(3)]}, BATCH)
    assert told(answer) == (6, 0, 3)
    assert [(error["index"], error["code"]) for error in answer.json()["errors"]] == [
        (3, "COMPOUND_REFUSED"),
        (4, "INVALID_QUANTITY"),
        (5, "COMPOUND_REFUSED"),
    ]
    assert "quantity must not be negative" in answer.json()["errors"][0]["error"]
    seller.drain()
    assert codes() == ["COMPOUND_REFUSED", "COMPOUND_REFUSED", "INVALID_QUANTITY"]
    assert counted() == {"input-tokens": "1624", "output-tokens": "192", "total-tokens": "1816"}
    assert not [key for key in keys() if key.startswith("req-2")]


def test_an_unknown_metric_refuses_the_whole_and_a_mended_one_counts(seller, sell):
    strange = compound()
    strange["measurements"].append({"metricName": "reasoning-tokens", "quantity": 5})
    answer = send(seller, strange)
    assert answer.status_code == 422
    assert answer.json()["failed"] == 4
    seller.drain()
    assert counted() == {}
    assert told(send(seller, compound())) == (3, 0, 0)  # no dead letter holds a key
    seller.drain()
    assert outcomes() == {"counted": 3, "dead": 4}


@pytest.mark.parametrize(
    ("fields", "headers", "base"),
    [
        ({"idempotencyKey": "mine"}, {}, "mine"),
        ({"idempotencyKey": "mine"}, {"Idempotency-Key": "header"}, "mine"),
        ({}, {"Idempotency-Key": "header"}, "header"),
        ({"correlationId": 17}, {}, "17"),
        ({"correlationId": ...}, {"Idempotency-Key": "header"}, "header"),
    ],
)
def test_keys_begin_with_the_nearest_name_of_the_compound(seller, fields, headers, base):
    assert told(send(seller, compound(**fields), **headers)) == (3, 0, 0)
    seller.drain()
    assert keys() == [
        f"{base}:input-tokens:large",
        f"{base}:output-tokens:large",
        f"{base}:total-tokens",
    ]


def test_the_header_names_no_compound_of_several(seller):
    body = {"events": [compound(1, correlationId=...), compound(2)]}
    answer = send(seller, body, BATCH, **{"Idempotency-Key": "header"})
    assert sorted(answer.json()["idempotencyKeys"]) == ["0", "1", "2"]


def test_without_any_name_keys_are_made_and_told(seller):
    answer = send(seller, compound(correlationId=...))
    assert told(answer) == (3, 0, 0)
    assert sorted(answer.json()["idempotencyKeys"]) == ["0", "1", "2"]


def test_measurements_alike_are_events_of_their_own(seller):
    twice = [{"metricName": "input-tokens", "quantity": 5}] * 2
    assert told(send(seller, compound(measurements=twice))) == (2, 0, 0)
    seller.drain()
    assert counted() == {"input-tokens": "10"}
    assert keys() == ["req-1:input-tokens", "req-1:input-tokens#2"]
    assert_repeats_change_nothing(seller, lambda: send(seller, compound(measurements=twice)))


def test_what_a_measurement_says_goes_before_what_all_share(seller):
    own = {
        "metricName": "input-tokens",
        "quantity": 1,
        "idempotencyKey": "own",
        "occurredAt": "2026-03-15T10:00:00Z",
        "metadata": {"model": "small", "step": 3},
    }
    send(seller, compound(measurements=[own]))
    seller.drain()
    (row,) = rows()
    assert (row.idempotency_key, row.occurred_at.hour) == ("own", 10)
    kept = json.loads(row.metadata)
    assert (kept["model"], kept["step"], kept["gateway"]) == ("small", 3, "kong")


@pytest.mark.parametrize(
    "measurements", [None, 7, "text", {}, [7], [None], [], [[]]], ids=json.dumps
)
def test_measurements_that_are_none_are_one_refused_event(seller, measurements):
    broken = compound(2, measurements=measurements)
    answer = send(seller, {"events": [broken, compound(1)]}, BATCH)
    assert told(answer) == (3, 0, 1)
    assert [(error["index"], error["code"]) for error in answer.json()["errors"]] == [
        (0, "INVALID_EVENT")
    ]
    assert stored_events(inbox()[0])[0] == broken
    seller.drain()
    assert outcomes() == {"counted": 3, "dead": 1}


def test_a_plain_event_is_an_event_here_as_well(seller):
    plain = {"customerId": "cust_llm", "metricName": "input-tokens", "quantity": 4}
    assert told(send(seller, {"events": [plain, compound()]}, BATCH)) == (4, 0, 0)
    seller.drain()
    assert counted()["input-tokens"] == "816"


def test_compounds_may_not_hold_more_events_than_a_request(seller):
    many = compound(measurements=[{"metricName": "input-tokens", "quantity": 1}] * 10_001)
    assert send(seller, many).status_code == 413
    assert inbox() == []


@pytest.mark.parametrize("body", [b"", b"{", b"17", b'{"events": 7}'])
def test_what_is_no_compound_of_ours_is_400(seller, body):
    assert seller.post(body, path=ONE).status_code == 400


def test_a_credential_in_a_part_of_a_key_is_not_kept(seller):
    secret = "sk_live_" + "S3cr3t" * 6
    measured = {"metricName": "input-tokens", "quantity": 1, "dimensionKey": secret}
    assert told(send(seller, compound(measurements=[measured]))) == (1, 0, 0)
    assert "S3cr3t" not in json.dumps(stored_events(inbox()[0]))
    seller.drain()
    assert counted() == {"input-tokens": "1"}
