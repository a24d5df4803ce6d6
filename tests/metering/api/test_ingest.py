"""The ingest routes over HTTP: what is sent, what is answered, what is kept."""

import json
from uuid import UUID

import msgspec
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from aforo.money import plain
from aforo.tenancy.models import ApiKey
from metering.models import DeadLetter, InboxBatch, UsageEvent
from metering.services.ingest import sweep_inbox
from tests.factories import NOW, OperatorKeyFactory, TenantFactory
from tests.metering.events import batch, codes, event, inbox, outcomes, rows, stored_events

PATHS = ("/v1/ingest", "/v1/ingest/batch", "/v1/ingest/events", "/v1/ingest/events/batch")
PROBLEM = "application/problem+json"


def dead_codes(answer):
    return [(error["index"], error["code"]) for error in answer.json()["errors"]]


# --- shapes and routes ---------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(event()),
        json.dumps({"events": [event()]}),
        json.dumps([event()]),
        f" \r\n\t{json.dumps(event())}\n ",
        json.dumps({"events": [event()], "sdk": "node", "batch": 7}),
    ],
    ids=["one event", "events", "bare array", "white space", "envelope with more"],
)
def test_each_route_takes_each_shape(seller, path, body):
    answer = seller.post(body, path=path)
    assert answer.status_code == 202
    assert stored_events(inbox()[0]) == [event()]


def test_answer_has_exactly_these_members(seller):
    answer = seller.send(event(1), event(2), event(2), event(3, quantity=-1))
    (row,) = inbox()
    assert answer.status_code == 202
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 1,
        "failed": 1,
        "errors": [
            {
                "index": 3,
                "code": "INVALID_QUANTITY",
                "error": "quantity must not be negative",
            }
        ],
        "killedSessionIds": [],
        "batchId": str(row.batch_id),
    }


def test_made_keys_are_told_and_make_a_repeat_a_repeat(seller):
    answer = seller.send(event(1), event(2, idempotencyKey=None), event(3, quantity=-1))
    (row,) = inbox()
    key = f"auto:{row.batch_id}:1"
    assert answer.json()["idempotencyKeys"] == {"1": key}
    seller.drain()
    again = seller.send(event(2, idempotencyKey=key))
    assert "idempotencyKeys" not in again.json()
    seller.drain()
    assert list(UsageEvent.objects.filter(idempotency_key=key).values_list("metric")) == [
        ("calls",)
    ]


@pytest.mark.parametrize("path", PATHS)
def test_trailing_slash_is_no_redirect(seller, path):
    answer = seller.send(event(), path=f"{path}/")
    assert answer.status_code == 404
    assert answer["Content-Type"] == PROBLEM


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods_are_problem_details(seller, method):
    answer = getattr(seller.client, method)("/v1/ingest")
    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert answer["Content-Type"] == PROBLEM
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"


def test_no_events_is_nothing_to_do(seller):
    answer = seller.send()
    assert answer.status_code == 202
    assert answer.json() | {"batchId": ""} == {
        "accepted": 0,
        "duplicates": 0,
        "failed": 0,
        "errors": [],
        "killedSessionIds": [],
        "batchId": "",
    }
    assert inbox() == []


def test_content_type_does_not_matter(seller):
    answer = seller.client.post(
        "/v1/ingest",
        data=batch(event()),
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": f"Bearer {seller.token}"},
    )
    assert answer.status_code == 202


# --- bodies that are none ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "EMPTY_BODY"),
        (b"  \n", "EMPTY_BODY"),
        (b"{", "MALFORMED_JSON"),
        (b'{"events": [}', "MALFORMED_JSON"),
        (b'{"events": null}', "MALFORMED_JSON"),
        (b'{"events": {}}', "MALFORMED_JSON"),
        (b"[1, 2", "MALFORMED_JSON"),
        (b"null", "MALFORMED_JSON"),
        (b"17", "MALFORMED_JSON"),
        (b'"text"', "MALFORMED_JSON"),
        (b"[] []", "MALFORMED_JSON"),
        (b'{"customerId": "\xff"}', "MALFORMED_JSON"),
        (b'{"customerId": "a\x00b"}', "MALFORMED_JSON"),
        (b"\x1f\x8b\x08", "MALFORMED_JSON"),
        (b"[" * 10_000, "MALFORMED_JSON"),
        (b"[" * 10_000 + b"]" * 10_000, "MALFORMED_JSON"),
        (b'{"metadata":' * 10_000 + b"1" + b"}" * 10_000, "MALFORMED_JSON"),
        (b'[{"quantity": NaN}]', "MALFORMED_JSON"),
        (b"\xef\xbb\xbf{}", "MALFORMED_JSON"),
    ],
)
def test_what_is_no_json_of_ours_is_400(seller, body, code):
    answer = seller.post(body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == PROBLEM
    assert answer.json()["code"] == code
    assert inbox() == []


def test_more_than_10_000_events_are_413(seller):
    assert seller.post(b"[" + b"{}," * 10_000 + b"{}]").status_code == 413
    assert inbox() == []


def test_10_000_events_are_taken(seller):
    answer = seller.send(*(event(number) for number in range(10_000)))
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 10_000


def test_a_body_over_10_mib_is_413(seller):
    answer = seller.post(b" " * (10 * 1024 * 1024) + batch(event()))
    assert answer.status_code == 413
    assert answer["Content-Type"] == PROBLEM
    assert answer.json()["code"] == "TOO_LARGE"
    assert inbox() == []


def test_a_body_of_10_mib_is_taken(seller):
    body = batch(event())
    assert seller.post(body.ljust(10 * 1024 * 1024)).status_code == 202


def test_an_unknown_content_encoding_is_refused(seller):
    answer = seller.send(event(), **{"Content-Encoding": "br"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "UNKNOWN_ENCODING"


# --- keys and tenants ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic c2tfOg==",
        "Bearer sk_test_wrong",
        "sk_test_" + "k" * 40,
        "Bearer schlüssel",
        "Bearer \x00",
    ],
)
def test_without_a_right_key_nothing_opens(seller, header):
    answer = seller.send(event(), Authorization=header)
    assert answer.status_code == 401
    assert answer["Content-Type"] == PROBLEM
    assert answer["WWW-Authenticate"] == "Bearer"
    assert inbox() == []


def test_an_operator_key_does_not_meter(seller):
    seller.token = OperatorKeyFactory(tenant=seller.tenant).secret
    assert seller.send(event()).status_code == 401


@pytest.mark.parametrize(
    "body", [batch(event()), batch(), b"no json", b"[" + b"{}," * 10_000 + b"{}]"]
)
def test_a_revoked_key_is_refused_at_once_though_the_process_remembers_it(seller, body):
    assert seller.send(event()).status_code == 202
    InboxBatch.objects.all().delete()
    ApiKey.objects.update(revoked_at=NOW)
    for _ in range(2):
        assert seller.post(body).status_code == 401
    assert inbox() == []


@pytest.mark.parametrize("name", ["slug", "id"])
def test_a_tenant_header_may_agree_with_the_key(seller, name):
    header = str(getattr(seller.tenant, name))
    assert seller.send(event(), **{"X-Tenant-Id": header}).status_code == 202
    assert seller.send(event(), **{"X-Tenant-Id": f" {header.upper()} "}).status_code == 202


def test_a_tenant_header_that_disagrees_is_403(seller):
    other = TenantFactory()
    answer = seller.send(event(), **{"X-Tenant-Id": other.slug})
    assert answer.status_code == 403
    assert answer["Content-Type"] == PROBLEM
    assert inbox() == []


def test_events_belong_to_the_tenant_of_the_key_whatever_the_body_says(seller):
    other = TenantFactory()
    seller.count(event(tenantId=str(other.id), tenant=other.slug))
    assert [row.tenant_id for row in rows()] == [seller.tenant.id]


# --- idempotency keys ----------------------------------------------------------------------


def test_the_header_is_the_key_of_a_single_event(seller):
    headers = {"Idempotency-Key": "from the header"}
    seller.send(event(idempotencyKey=...), **headers)
    seller.send(event(idempotencyKey=None), **headers)
    seller.drain()
    assert [row.idempotency_key for row in rows()] == ["from the header"]
    assert outcomes() == {"counted": 1, "duplicates": 1}


def test_the_key_of_an_event_goes_before_the_header(seller):
    seller.send(event(1), **{"Idempotency-Key": "from the header"})
    seller.drain()
    assert [row.idempotency_key for row in rows()] == ["key-1"]


def test_the_header_names_no_event_of_several(seller):
    one, other = event(idempotencyKey=...), event(idempotencyKey=...)
    answer = seller.send(one, other, **{"Idempotency-Key": "from the header"})
    seller.drain()
    assert outcomes(answer) == {"counted": 2}


def test_an_empty_header_is_refused(seller):
    """Web servers hand on as empty what they cannot read: taking it for none would count twice."""
    answer = seller.send(event(idempotencyKey=...), **{"Idempotency-Key": ""})
    assert answer.status_code == 422
    assert dead_codes(answer) == [(0, "INVALID_EVENT")]


def test_an_answer_is_never_replayed(seller):
    headers = {"Idempotency-Key": "twice"}
    first = seller.send(event(idempotencyKey=...), **headers)
    second = seller.send(event(idempotencyKey=...), **headers)
    assert first.json()["batchId"] != second.json()["batchId"]


def test_events_without_key_are_all_different(seller):
    answer = seller.count(event(idempotencyKey=...), event(idempotencyKey=...))
    batch_id = answer.json()["batchId"]
    assert [row.idempotency_key for row in rows()] == [f"auto:{batch_id}:0", f"auto:{batch_id}:1"]


# --- refusals ------------------------------------------------------------------------------


def test_one_bad_event_never_sinks_its_batch(seller):
    answer = seller.count(event(1), event(2, quantity="many"), event(3))
    assert answer.status_code == 202
    assert dead_codes(answer) == [(1, "INVALID_EVENT")]
    assert outcomes(answer) == {"counted": 2, "dead": 1}


def test_when_every_event_is_refused_the_answer_is_a_problem_with_the_same_members(seller):
    answer = seller.send(event(1, quantity=-1), event(2, metricName="nonsense"))
    assert answer.status_code == 422
    assert answer["Content-Type"] == PROBLEM
    members = answer.json()
    assert members["accepted"] == 0
    assert members["duplicates"] == 0
    assert members["failed"] == 2
    assert dead_codes(answer) == [(0, "INVALID_QUANTITY"), (1, "UNKNOWN_METRIC")]
    assert members["killedSessionIds"] == []
    assert UUID(members["batchId"]) == inbox()[0].batch_id
    assert members["status"] == 422
    assert members["title"] == "Unprocessable Content"
    assert members["code"] == "INVALID_QUANTITY"
    assert set(members) >= {"type", "detail", "instance"}


def test_refused_events_of_a_422_are_kept_whole(seller):
    refused = event(1, quantity=-1, metadata={"shoe": "größe"})
    seller.count(refused)
    letter = DeadLetter.objects.get()
    assert msgspec.json.decode(bytes(letter.event)) == refused
    assert (letter.code, letter.metric, letter.batch_index) == ("INVALID_QUANTITY", "calls", 0)
    assert letter.tenant_id == seller.tenant.id


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"customerId": ...}, "INVALID_EVENT"),
        ({"customerId": None}, "INVALID_EVENT"),
        ({"customerId": ""}, "INVALID_EVENT"),
        ({"customerId": 7}, "INVALID_EVENT"),
        ({"customerId": "c" * 401}, "INVALID_EVENT"),
        ({"customerId": "a\0b"}, "INVALID_EVENT"),
        ({"metricName": ...}, "INVALID_EVENT"),
        ({"metricName": ""}, "INVALID_EVENT"),
        ({"metricName": "a\0b"}, "INVALID_EVENT"),
        ({"metricName": "no such metric"}, "UNKNOWN_METRIC"),
        ({"quantity": ...}, "INVALID_EVENT"),
        ({"idempotencyKey": ""}, "INVALID_EVENT"),
        ({"idempotencyKey": "k" * 4097}, "INVALID_EVENT"),
        ({"idempotencyKey": "a\0b"}, "INVALID_EVENT"),
        ({"idempotencyKey": 12}, "INVALID_EVENT"),
        ({"sessionId": "s" * 401}, "INVALID_EVENT"),
        ({"traceId": ["t"]}, "INVALID_EVENT"),
        ({"metadata": []}, "INVALID_EVENT"),
        ({"metadata": "text"}, "INVALID_EVENT"),
        ({"metadata": 7}, "INVALID_EVENT"),
        ({"metadata": False}, "INVALID_EVENT"),
        ({"metadata": {"a": "x" * 16_384}}, "INVALID_EVENT"),
        ({"metadata": {"a": "b\0c"}}, "INVALID_EVENT"),
        ({"metadata": {"a\0": 1}}, "INVALID_EVENT"),
        ({"extra": "b\0c"}, "INVALID_EVENT"),
        ({"occurredAt": "yesterday"}, "INVALID_EVENT"),
        ({"occurredAt": ""}, "INVALID_EVENT"),
        ({"occurredAt": True}, "INVALID_EVENT"),
        ({"occurredAt": "2026-02-30T00:00:00Z"}, "INVALID_EVENT"),
        ({"occurredAt": 10**17}, "INVALID_TIMESTAMP"),
        ({"occurredAt": -(10**17)}, "INVALID_TIMESTAMP"),
        ({"occurredAt": 10**40}, "INVALID_TIMESTAMP"),
        ({"occurredAt": "0001-01-01T00:00:00+14:00"}, "INVALID_TIMESTAMP"),
        ({"occurredAt": "9999-12-31T23:59:59-14:00"}, "INVALID_TIMESTAMP"),
        ({"occurredAt": "2026-03-15T12:05:01Z"}, "TIMESTAMP_IN_FUTURE"),
        ({"occurredAt": "2025-12-15T11:59:59Z"}, "TIMESTAMP_TOO_OLD"),
        ({"occurredAt": 0}, "TIMESTAMP_TOO_OLD"),
    ],
)
def test_a_refused_field_has_a_stable_code(seller, fields, code):
    answer = seller.count(event(1), event(2, **fields))
    assert answer.status_code == 202
    assert dead_codes(answer) == [(1, code)]
    assert codes() == [code]
    assert outcomes() == {"counted": 1, "dead": 1}


@pytest.mark.parametrize("one", [b"null", b"1", b'"text"', b"[]", b"true", b"{}"])
def test_an_event_that_is_no_object_is_named_by_its_index(seller, one):
    answer = seller.post(b"[" + one + b"," + json.dumps(event()).encode() + b"]")
    assert answer.status_code == 202
    assert dead_codes(answer) == [(0, "INVALID_EVENT")]
    seller.drain()
    assert outcomes() == {"counted": 1, "dead": 1}


def test_a_lone_surrogate_sinks_no_batch(seller):
    """Clients cut texts in the middle of an emoji; their JSON libraries send half of it."""
    body = batch(event(1), event(2)).replace(b"key-1", b"k\\ud83d-1 \\\\ud83d \\ud83d\\ude00")
    answer = seller.post(body)
    assert answer.status_code == 202
    seller.drain()
    assert outcomes() == {"counted": 2}
    assert rows()[0].idempotency_key == "k\ufffd-1 \\ud83d \U0001f600"


def test_an_event_that_is_nested_too_deep_is_named_by_its_index(seller):
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    body = batch(event(1), event(2, metadata="@"), event(3)).replace(b'"@"', deep)
    answer = seller.post(body)
    assert dead_codes(answer) == [(1, "INVALID_EVENT")]
    seller.drain()
    assert outcomes() == {"counted": 2, "dead": 1}
    assert deep in bytes(DeadLetter.objects.get().event)


def test_brackets_inside_of_texts_are_not_nested(seller):
    metadata = {"text": "[{" * 500, "list": [{} for _ in range(500)]}
    seller.count(event(metadata=metadata))
    assert json.loads(rows()[0].metadata) == metadata


# --- quantities ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "quantity"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0e1000000", "0"),
        ("1", "1"),
        ("1.0", "1"),
        ('"1.5"', "1.5"),
        ("1500.5", "1500.5"),
        ("1e3", "1000"),
        ("1E-12", "0.000000000001"),
        ("9" * 24, "9" * 24),
        ("9" * 24 + "." + "9" * 12, "9" * 24 + "." + "9" * 12),
        ("1.5000000000000000", "1.5"),
        ("1." + "0" * 5000, "1"),
        ("0.1", "0.1"),
    ],
)
def test_a_quantity_is_exact(seller, spelled, quantity):
    body = batch(event(metricName="tokens")).replace(
        b'"quantity":1', f'"quantity":{spelled}'.encode()
    )
    assert seller.post(body).status_code == 202
    seller.drain()
    assert [plain(row.quantity) for row in rows()] == [quantity]
    assert outcomes() == {"counted": 1}


@pytest.mark.parametrize(
    ("spelled", "code"),
    [
        ("-1", "INVALID_QUANTITY"),
        ("-1e-12", "INVALID_QUANTITY"),
        ('"NaN"', "INVALID_QUANTITY"),
        ('"sNaN"', "INVALID_QUANTITY"),
        ('"Infinity"', "INVALID_QUANTITY"),
        ('"-Infinity"', "INVALID_QUANTITY"),
        ("1e1000000", "INVALID_QUANTITY"),
        ("1e-1000000", "INVALID_QUANTITY"),
        ("1e24", "INVALID_QUANTITY"),
        ("1" * 25, "INVALID_QUANTITY"),
        ("1" * 5000, "INVALID_QUANTITY"),
        ("1.0000000000001", "INVALID_QUANTITY"),
        ("0.0000000000001", "INVALID_QUANTITY"),
        ("1e99999999999999999999", "INVALID_EVENT"),
        ('"1e99999999999999999999"', "INVALID_EVENT"),
        ("true", "INVALID_EVENT"),
        ("null", "INVALID_EVENT"),
        ('""', "INVALID_EVENT"),
        ('"many"', "INVALID_EVENT"),
        ("[1]", "INVALID_EVENT"),
        ("{}", "INVALID_EVENT"),
    ],
)
def test_a_quantity_that_nobody_can_bill_is_refused(seller, spelled, code):
    body = batch(event()).replace(b'"quantity":1', f'"quantity":{spelled}'.encode())
    answer = seller.post(body)
    assert answer.status_code == 422
    assert dead_codes(answer) == [(0, code)]
    seller.drain()
    assert codes() == [code]


# --- times ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "moment"),
    [
        ("2026-03-15T11:31:07.068Z", "2026-03-15T11:31:07.068000+00:00"),
        ("2026-03-15T11:31:06.313587+00:00", "2026-03-15T11:31:06.313587+00:00"),
        ("2026-03-15T11:38:08.734409785Z", "2026-03-15T11:38:08.734410+00:00"),
        ("2026-03-15T11:38:08.73440978Z", "2026-03-15T11:38:08.734410+00:00"),
        ("2026-03-15T11:38:08.7344097Z", "2026-03-15T11:38:08.734410+00:00"),
        ("2026-03-15T11:38:08.7Z", "2026-03-15T11:38:08.700000+00:00"),
        ("2026-03-15T11:38:08Z", "2026-03-15T11:38:08+00:00"),
        ("2026-03-15T11:38:08", "2026-03-15T11:38:08+00:00"),
        ("2026-03-15 11:38:08", "2026-03-15T11:38:08+00:00"),
        ("2026-03-15T11:38:08.5", "2026-03-15T11:38:08.500000+00:00"),
        ("2026-03-15T16:38:08+05:00", "2026-03-15T11:38:08+00:00"),
        ("2026-03-15T06:38:08-0500", "2026-03-15T11:38:08+00:00"),
        ("2026-03-15t11:38:08z", "2026-03-15T11:38:08+00:00"),
        (1773574688734, "2026-03-15T11:38:08.734000+00:00"),
        (1773574688734.5, "2026-03-15T11:38:08.734500+00:00"),
        (None, "2026-03-15T12:00:00+00:00"),
        (..., "2026-03-15T12:00:00+00:00"),
        ("2026-03-15T12:05:00Z", "2026-03-15T12:05:00+00:00"),
    ],
)
def test_each_spelling_of_a_time_is_understood(seller, spelled, moment):
    answer = seller.count(event(occurredAt=spelled))
    assert answer.status_code == 202
    assert [row.occurred_at.isoformat() for row in rows()] == [moment]


def test_a_time_is_judged_by_the_clock_of_the_tenant(seller):
    seller.tenant.clock_frozen_at = NOW.replace(year=2024)
    seller.tenant.save()
    answer = seller.send(event(1), event(2, occurredAt="2024-03-15T12:00:00Z"))
    assert dead_codes(answer) == [(0, "TIMESTAMP_IN_FUTURE")]
    assert inbox()[0].received_at == NOW.replace(year=2024)


# --- fields --------------------------------------------------------------------------------


def test_unknown_fields_fold_into_metadata(seller):
    seller.count(
        event(
            gqlComplexity=23, gqlHasErrors=False, wsCloseReason=None, metadata={"sdkVersion": "1"}
        )
    )
    (row,) = rows()
    assert json.loads(row.metadata) == {
        "gqlComplexity": 23,
        "gqlHasErrors": False,
        "wsCloseReason": None,
        "sdkVersion": "1",
    }


def test_metadata_goes_before_an_unknown_field_of_the_same_name(seller):
    seller.count(event(region="outer", metadata={"region": "inner"}))
    assert json.loads(rows()[0].metadata) == {"region": "inner"}


def test_unknown_fields_keep_every_digit(seller):
    body = batch(event(amount="@")).replace(b'"@"', b"0.10000000000000000000000001")
    seller.post(body)
    seller.drain()
    assert rows()[0].metadata == '{"amount":0.10000000000000000000000001}'


def test_unknown_fields_of_a_batch_are_folded_event_by_event(seller):
    seller.count(event(1, a=1), event(2), event(3, metadata=None, b=2))
    assert [row.metadata for row in rows()] == ['{"a":1}', None, '{"b":2}']


def test_fields_of_an_event_are_columns(seller):
    fields = {
        "productType": "MCP_SERVER",
        "sessionId": "session-1",
        "agentId": "",
        "toolName": "search",
        "traceId": "4bf92f35",
    }
    seller.count(event(**fields))
    (row,) = rows()
    assert (row.product_type, row.session_id, row.agent_id, row.tool_name, row.trace_id) == (
        *fields.values(),
    )
    assert row.metadata is None


def test_metadata_is_kept_byte_by_byte(seller):
    raw = b'{ "b":1.50,\n\t"a" : "\\u00e9 \xc3\xa9 \\\\N \\n", "c":{"z":[1e5,-0.0]} }'
    seller.post(batch(event(metadata={"@": 1})).replace(b'{"@":1}', raw))
    seller.drain()
    assert rows()[0].metadata == raw.decode()


def test_an_escaped_backslash_is_no_nul(seller):
    assert seller.count(event(metadata={"path": "C:\\u0000"})).status_code == 202
    assert json.loads(rows()[0].metadata) == {"path": "C:\\u0000"}


def test_heartbeats_are_taken_for_any_customer_and_not_billed(seller):
    heartbeat = {
        "customerId": "system",
        "metricName": "system.session.heartbeat",
        "quantity": 0,
        "metadata": {"sessionId": "s-1", "sessionBoundary": "HEARTBEAT"},
    }
    answer = seller.count(
        event("hb", **heartbeat), event("hb2", **heartbeat, productType="AI_AGENT")
    )
    assert answer.status_code == 202
    assert outcomes() == {"unbilled": 2}
    assert [(row.running_total_id, row.revenue) for row in rows()] == [(None, 0), (None, 0)]


def test_names_of_metrics_may_hold_anything_printable(seller):
    seller.tenant.unknown_metric = "ACCEPT_UNBILLED"
    seller.tenant.save()
    seller.count(event(metricName="GET /users/<int:uid>/{oid}:id"))
    assert [row.metric for row in rows()] == ["GET /users/<int:uid>/{oid}:id"]
    assert outcomes() == {"unbilled": 1}


# --- durability ----------------------------------------------------------------------------


def test_without_redis_an_event_is_taken_and_found_by_the_sweep(seller, redis_down, monkeypatch):
    asked = []
    monkeypatch.setattr("metering.ingest.wake.ask_for_drain", asked.append)
    assert seller.send(event()).status_code == 202
    assert asked == []
    assert len(sweep_inbox()) == 1
    assert len(asked) == 1
    seller.drain()
    assert outcomes() == {"counted": 1}


def test_a_broker_that_breaks_off_harms_no_request(seller, monkeypatch):
    def broken(shard):
        raise OSError("connection reset")

    monkeypatch.setattr("metering.ingest.wake.ask_for_drain", broken)
    assert seller.send(event()).status_code == 202


def test_a_known_key_costs_one_read_and_one_write(seller):
    seller.send(event(1))
    with CaptureQueriesContext(connection) as queries:
        seller.send(event(2))
    kinds = [query["sql"].split()[0] for query in queries]
    assert kinds == ["SELECT"]  # the sandbox's clock; the insert goes past Django's cursor


def test_a_database_that_is_away_is_503_and_nothing_is_promised(seller, monkeypatch):
    def away(**_):
        raise OperationalError("gone")

    monkeypatch.setattr("metering.ingest.inbox.store", away)
    answer = seller.send(event())
    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"
    assert not UsageEvent.objects.exists()
