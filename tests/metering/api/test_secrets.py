"""Credentials in events are cut at the door: no table, answer or log line ever holds one."""

import json
from datetime import UTC, datetime

import lz4.frame
import msgspec
import pytest
from django.apps import apps
from django.db import connection

from catalog import aliases
from catalog.models import Customer
from metering.models import DeadLetter, InboxBatch
from tests.factories import CustomerAliasFactory
from tests.metering.events import batch, codes, event, outcomes, rows

SECRET = "sk_live_" + "S3cr3t" * 6
NODE_AGENT = {
    "tenantId": "tenant",
    "productId": "product",
    "apiKey": SECRET,
    "eventType": "agent_step",
    "metricKey": "step_count",
    "value": 1,
    "agentId": "agent-1",
    "sessionId": "session-1",
    "properties": {"step": 3},
    "timestamp": "2026-03-15T11:00:00Z",
}


def everything_stored():
    """Every value of every row of every table, compressed bodies opened, as one text."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            for row in cursor.fetchall():
                found += [bytes(v) if isinstance(v, memoryview) else str(v).encode() for v in row]
    found += [lz4.frame.decompress(bytes(row.body)) for row in InboxBatch.objects.all()]
    return b"\n".join(found)


def assert_forgotten(seller, answer, caplog):
    """Nothing holds the secret: not before the drain, not after it."""
    for _ in range(2):
        assert b"S3cr3t" not in everything_stored()
        seller.drain()
    assert b"S3cr3t" not in answer.content
    assert "S3cr3t" not in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        {"apiKey": SECRET},
        {"apikey": SECRET, "Api_Key": SECRET, "X-API-KEY": SECRET},
        {"authorization": f"Bearer {SECRET}"},
        {"Authorization": {"scheme": "Bearer", "credentials": SECRET}},
        {"password": ["S3cr3t"]},
        {"secret": "S3cr3t"},
        {"metadata": {"apiKey": SECRET}},
        {"metadata": {"deep": [{"er": {"api_key": "S3cr3t"}}]}},
        {"metadata": {"token": SECRET}},
        {"metadata": {"tokens": [SECRET, "afo_S3cr3t"]}},
        {"metadata": {SECRET: 1}},
        {"metadata": {SECRET: {"inner": SECRET}}},
        {SECRET: 1},
        {"sessionId": SECRET},
        {"agentId": SECRET, "toolName": SECRET, "traceId": SECRET, "productType": SECRET},
        {"idempotencyKey": SECRET},
    ],
)
def test_a_counted_event_keeps_no_credential(seller, caplog, fields):
    answer = seller.send(event(1, **fields))
    assert answer.status_code == 202
    assert_forgotten(seller, answer, caplog)
    assert outcomes() == {"counted": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (event(customerId=SECRET), "UNKNOWN_CUSTOMER"),
        (event(customerId=SECRET, quantity=-1), "INVALID_QUANTITY"),
        (event(metricName=SECRET), "UNKNOWN_METRIC"),
        (event(customerId={"apiKey": SECRET}), "INVALID_EVENT"),
        (event(customerId=[SECRET]), "INVALID_EVENT"),
        (event(quantity=SECRET), "INVALID_EVENT"),
        (event(occurredAt=SECRET), "INVALID_EVENT"),
        (event(metadata=SECRET), "INVALID_EVENT"),
        (event(metadata=[SECRET]), "INVALID_EVENT"),
        (event(metadata=SECRET, apiKey=SECRET), "INVALID_EVENT"),
        (event(customerId="alias:" + "0" * 64, apiKey=SECRET), "INVALID_EVENT"),
        (NODE_AGENT, "UNKNOWN_METRIC"),
        (NODE_AGENT | {"value": -1}, "INVALID_QUANTITY"),
        (SECRET, "INVALID_EVENT"),
        ([SECRET], "INVALID_EVENT"),
        ([{"apiKey": "S3cr3t"}], "INVALID_EVENT"),
    ],
)
def test_a_dead_letter_keeps_no_credential(seller, caplog, body, code):
    answer = seller.send(body, event(2))
    assert answer.status_code == 202
    assert_forgotten(seller, answer, caplog)
    assert codes() == [code]
    assert outcomes() == {"counted": 1, "dead": 1}


@pytest.mark.parametrize(
    ("spelled", "hidden"),
    [
        (b'"sk_live_', b'"\\u0073k_live_'),
        (b'"sk_live_', b'"s\\u006B_live_'),
        (b'"sk_live_', b'"sk\\u005flive_'),
        (b'"apiKey"', b'"\\u0061piKey"'),
        (b'"x-api-key"', b'"x\\u002Dapi\\u002dkey"'),
        (b'"AUTHORIZATION"', b'"\\u0041UTHORIZATION"'),
    ],
)
def test_a_credential_does_not_hide_behind_escapes(seller, caplog, spelled, hidden):
    fields = {"customerId": SECRET, "apiKey": "S3cr3t", "metadata": {"list": [SECRET]}}
    more = {"x-api-key": "S3cr3t", "AUTHORIZATION": "S3cr3t"}
    body = batch(event(1, **fields, **more), event(2))
    assert spelled in body
    answer = seller.post(body.replace(spelled, hidden))
    assert answer.status_code == 202
    assert_forgotten(seller, answer, caplog)


@pytest.mark.parametrize(
    "number", ["1e99999999999999999999", "1e400", "-1E-400", "1" * 4299, "1" * 5000]
)
def test_numbers_beside_a_credential_are_no_trap(seller, caplog, number):
    body = batch(event(1, apiKey=SECRET, amount="@"), event(2)).replace(b'"@"', number.encode())
    answer = seller.post(body)
    assert answer.status_code == 202
    assert_forgotten(seller, answer, caplog)


def test_a_credential_in_the_idempotency_header_is_cut_and_stays_the_key(seller, caplog):
    for _ in range(2):
        answer = seller.send(event(idempotencyKey=...), **{"Idempotency-Key": SECRET})
        assert_forgotten(seller, answer, caplog)
    assert outcomes() == {"counted": 1, "duplicates": 1}


def test_a_key_that_is_a_credential_still_tells_repeats_from_others(seller):
    first = event(idempotencyKey=SECRET)
    seller.count(first, first, event(idempotencyKey=SECRET + "2"))
    assert outcomes() == {"counted": 2, "duplicates": 1}


def test_a_customer_is_found_by_its_key_which_is_stored_nowhere(seller, caplog):
    customer = Customer.objects.get()
    CustomerAliasFactory(
        customer=customer, label="", digest=aliases.digest_of(seller.tenant.id, SECRET)
    )
    answer = seller.send(event(1, customerId=SECRET))
    assert_forgotten(seller, answer, caplog)
    assert [row.customer_id for row in rows()] == [customer.id]


def test_a_stand_in_is_refused_at_the_door(seller):
    """Whoever knows a stand-in from a dead letter does not know the key."""
    stand_in = aliases.stand_in(aliases.digest_of(seller.tenant.id, SECRET))
    answer = seller.send(event(customerId=stand_in))
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == ["INVALID_EVENT"]


def test_what_only_looks_a_little_like_a_credential_is_kept(seller):
    metadata = {"note": "the sk_ prefix", "apiKeyId": 7, "risk_": "ask_me", "é": "\u0073k"}
    seller.count(event(metadata=metadata))
    assert json.loads(rows()[0].metadata) == metadata


def test_numbers_beside_a_credential_keep_their_digits(seller):
    body = batch(event(apiKey=SECRET, amount="@")).replace(b'"@"', b"0.1234567890123456789012345")
    seller.post(body)
    seller.drain()
    assert '"amount":0.1234567890123456789012345' in rows()[0].metadata


def test_a_dead_letter_is_whole_but_for_its_credentials(seller):
    refused = event(quantity=-1)
    seller.count(refused | {"apiKey": SECRET, "productId": "product"})
    (letter,) = DeadLetter.objects.all()
    kept = msgspec.json.decode(bytes(letter.event))
    assert kept == refused | {"metadata": {"apiKey": "[removed]", "productId": "product"}}
    assert letter.received_at == datetime(2026, 3, 15, 12, tzinfo=UTC)
