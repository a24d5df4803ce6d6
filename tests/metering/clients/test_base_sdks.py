"""The base SDKs of four languages: batches of up to 50, four attempts, keys of their own making."""

import hashlib
from datetime import UTC, datetime

import pytest

from tests.metering.clients.wire import (
    COUNT,
    SUM,
    assert_repeats_change_nothing,
    counted,
    post,
    state,
    told,
)
from tests.metering.events import codes, outcomes, rows

AT = "2026-03-15T11:31:07.068Z"
LANGUAGES = {
    "node": ("node", "2026-03-15T11:31:07.068Z", b"1"),
    "python": ("python-httpx/0.28.1", "2026-03-15T11:31:06.313587+00:00", b"1"),
    "go": ("Go-http-client/1.1", "2026-03-15T11:38:08.734409785Z", b"1"),
    "java": ("Java-http-client/17.0.2", "2026-03-15T11:38:08.73440978Z", b"1.0"),
}
# Key by language for one and the same event, as CLIENTS describes them: opaque to a server.
KEYS = {
    "1": {"python": "e3f6201f0bddd7b752bf0f91f2085863", "java": "6048d3176e447031fc5f156eeb46dcc6"},
    "123456789": {
        "python": "cdf394ca92569caa02369d57f6380a50",
        "go": "4cd309a0ef8479b3362c797dde917807",
        "java": "e76913ad037e207c6034a9ecd17a4a8e",
    },
    "1e-7": {
        "python": "7c0ac72e6a722af36ea1a546f4214abf",
        "node": "0f34074f4e4c446fd86be40f07b8c1d0",
        "java": "9e63b315c4800f7bc64fb996f47e16b2",
    },
}


def tracked(customer="cust_1", metric="tokens", quantity=1, at=AT, **metadata):
    """One `track()`: the key is of what the event says, metadata is left out when empty."""
    said = f"{customer}:{metric}:{quantity}:{at}"
    event = {
        "customerId": customer,
        "metricName": metric,
        "quantity": quantity,
        "idempotencyKey": hashlib.sha256(said.encode()).hexdigest()[:32],
        "occurredAt": at,
    }
    return event | ({"metadata": metadata} if metadata else {})


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_counted_as_it_spells_things(seller, language):
    agent, at, one = LANGUAGES[language]
    body = (
        b'{"events":['
        + b",".join(
            b'{"customerId":"cust_1","metricName":"tokens","quantity":%b,"idempotencyKey":"%b-%d",'
            b'"occurredAt":"%b"}' % (one, language.encode(), number, at.encode())
            for number in range(50)
        )
        + b"]}"
    )

    def send():
        return seller.post(body, **{"User-Agent": agent})

    assert told(send()) == (50, 0, 0)
    seller.drain()
    assert counted() == {"tokens": "50"}
    assert_repeats_change_nothing(seller, send)
    assert {row.occurred_at for row in rows()} == {parsed(at)}


def parsed(at):
    """To microseconds, which is what is stored: 9 digits are rounded."""
    if at.startswith("2026-03-15T11:38:08.7344"):
        return datetime(2026, 3, 15, 11, 38, 8, 734410, tzinfo=UTC)
    return datetime.fromisoformat(at)


@pytest.mark.parametrize("spelled", KEYS)
def test_keys_are_never_made_again_nor_compared_over_languages(seller, spelled):
    keys = KEYS[spelled]
    body = ",".join(
        f'{{"customerId":"cust_1","metricName":"tokens","quantity":{spelled},'
        f'"idempotencyKey":"{key}","occurredAt":"2026-03-15T00:00:00Z"}}'
        for key in keys.values()
    )
    for _ in range(2):
        assert told(seller.post(f'{{"events":[{body}]}}')) == (len(keys), 0, 0)
        seller.drain()
    assert sorted(row.idempotency_key for row in rows()) == sorted(keys.values())


@pytest.mark.parametrize(
    ("spelled", "quantity"),
    [
        ("0", "0"),
        ("0.1", "0.1"),
        ("1500.5", "1500.5"),
        ("1e+21", "1000000000000000000000"),
        ("1.0E21", "1000000000000000000000"),
        ("1e-7", "0.0000001"),
        ("1.0E-7", "0.0000001"),
        ("1.23456789E8", "123456789"),
    ],
)
def test_numbers_are_exact_however_a_language_prints_them(seller, spelled, quantity):
    body = (
        '{"events":[{"customerId":"cust_1","metricName":"tokens",'
        f'"quantity":{spelled},"idempotencyKey":"k","occurredAt":"{AT}"}}]}}'
    )
    assert told(seller.post(body)) == (1, 0, 0)
    seller.drain()
    assert counted() == {"tokens": quantity}


def test_forty_equal_calls_in_a_millisecond_share_one_key(seller):
    """The clients' own doing: they derive the key from the event, and its time ends there."""
    answer = post(seller, {"events": [tracked() for _ in range(40)]})
    assert told(answer) == (1, 39, 0)
    seller.drain()
    assert outcomes() == {"counted": 1, "duplicates": 39}


def test_four_attempts_and_a_buffer_that_overlaps_count_once(seller):
    events = [tracked(quantity=number, route="POST /v1/charges") for number in range(75)]
    first, second = {"events": events[:50]}, {"events": events[25:]}
    assert told(post(seller, first)) == (50, 0, 0)
    for _ in range(3):
        post(seller, first)
    assert told(post(seller, second)) == (50, 0, 0)  # earlier requests are found by the drain
    seller.drain()
    assert counted() == {"tokens": str(sum(range(75)))}
    assert_repeats_change_nothing(seller, lambda: post(seller, second), lambda: post(seller, first))


def test_a_bad_event_never_costs_the_batch_that_a_client_would_drop(seller):
    events = [tracked(quantity=1), tracked(quantity=-1), tracked(metric="nobody_counts_this")]
    answer = post(seller, {"events": events})
    assert told(answer) == (1, 0, 2)
    assert [(error["index"], error["code"]) for error in answer.json()["errors"]] == [
        (1, "INVALID_QUANTITY"),
        (2, "UNKNOWN_METRIC"),
    ]
    seller.drain()
    assert counted() == {"tokens": "1"}
    assert_repeats_change_nothing(seller, lambda: post(seller, {"events": events}))
    assert codes() == ["INVALID_QUANTITY", "UNKNOWN_METRIC"]


def test_the_tenant_is_known_without_a_header(seller):
    assert told(post(seller, {"events": [tracked()]})) == (1, 0, 0)
    seller.drain()
    assert {row.tenant_id for row in rows()} == {seller.tenant.id}


def test_the_examples_of_the_sdk_pages_are_counted(seller, sell, alias):
    sell("cust_acme_001", api_calls=COUNT)
    alias("cust_123", customer="cust_acme_001")
    node, java = (
        tracked("cust_123", "api_calls"),
        tracked("cust_acme_001", "api_calls", route="POST /v1/charges"),
    )
    assert told(post(seller, {"events": [node, java]})) == (2, 0, 0)
    seller.drain()
    assert counted() == {"api_calls": "2"}


def test_metadata_that_is_left_out_and_no_metadata_are_the_same_event(seller, sell):
    sell("cust_2", made=SUM)
    event = tracked("cust_2", "made")
    post(seller, {"events": [event]})
    seller.drain()
    before = state()
    post(seller, {"events": [event | {"metadata": None}]})
    seller.drain()
    assert state() == before
    assert codes() == []
