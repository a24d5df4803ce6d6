"""CloudEvents become events, in all three modes."""

import msgspec
import pytest

from aforo.errors import Unreadable
from metering.compat import cloudevents
from metering.ingest.translation import untranslated
from tests.metering.compat.translated import codes_of, events_of

EVENT = {
    "specversion": "1.0",
    "id": "req-1",
    "source": "/gateway/eu",
    "type": "calls",
    "subject": "cust_1",
    "time": "2026-03-15T11:00:00.123456789Z",
    "data": {"quantity": 2, "model": "large"},
}
OURS = {
    "customerId": "cust_1",
    "metricName": "calls",
    "quantity": 2,
    "idempotencyKey": "/gateway/eu req-1",
    "metadata": {"quantity": 2, "model": "large"},
    "occurredAt": "2026-03-15T11:00:00.123456789Z",
}
NOTHING = {}


def translated(body, content_type=cloudevents.STRUCTURED, headers=NOTHING, value_fields=NOTHING):
    return cloudevents.translator(content_type, headers, value_fields)(body)


def structured(*events, **more):
    body = events[0] if len(events) == 1 else list(events)
    return translated(msgspec.json.encode(body), **more)


def binary(body=b"", content_type="application/json", **headers):
    named = {f"Ce-{name.title()}": value for name, value in headers.items()}
    return translated(body, content_type, named)


HEADERS = {name: value for name, value in EVENT.items() if name != "data"}


def test_a_structured_event_is_one_of_ours():
    assert events_of(structured(EVENT)) == [OURS]


def test_a_batch_is_an_array_of_them():
    both = structured(EVENT, EVENT | {"id": "req-2"})
    assert events_of(both) == [OURS, OURS | {"idempotencyKey": "/gateway/eu req-2"}]
    assert both.refused == {}


def test_binary_mode_has_its_attributes_in_headers():
    made = binary(msgspec.json.encode(EVENT["data"]), **HEADERS)
    assert events_of(made) == [OURS]


def test_headers_are_percent_encoded():
    (made,) = events_of(binary(**HEADERS | {"subject": "M%C3%BCller%20%26%20Co"}))
    assert made["customerId"] == "Müller & Co"


@pytest.mark.parametrize(
    ("body", "content_type", "metadata"),
    [
        (b"plain words", "text/plain", {"data": "plain words"}),
        (b"\xff\x00", "application/octet-stream", {"data_base64": "/wA="}),
        (b"[1, 2]", "application/json", {"data": [1, 2]}),
        (b'{"a": 1}', "application/vnd.acme+json", {"a": 1}),
        (b"", "application/json", {}),
    ],
)
def test_binary_data_of_any_kind_is_kept(body, content_type, metadata):
    (made,) = events_of(binary(body, content_type, **HEADERS))
    assert made["metadata"] == metadata
    assert made["quantity"] == 1


def test_extensions_are_metadata_beside_the_data():
    (made,) = events_of(structured(EVENT | {"region": "eu", "model": "ignored"}))
    assert made["metadata"] == {"region": "eu", "model": "large", "quantity": 2}


def test_no_digit_of_a_number_is_lost():
    body = msgspec.json.encode(EVENT | {"data": {"value": "x"}})
    body = body.replace(b'"x"', b"123456789012345678.123456789012")
    assert b'"quantity":123456789012345678.123456789012' in translated(body).array


def test_optional_attributes_may_be_null():
    (made,) = events_of(structured(EVENT | {"time": None, "data": None, "dataschema": None}))
    assert "occurredAt" not in made
    assert made["metadata"] == {}


def test_the_key_is_source_and_id_together():
    assert cloudevents.key_of("a", "b c") != cloudevents.key_of("a b", "c")
    assert cloudevents.key_of("a", "b") != cloudevents.key_of("b", "a")


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject"])
@pytest.mark.parametrize("value", [..., None, "", {}, True])
def test_an_event_without_what_it_needs_is_refused_as_it_came(name, value):
    bad = EVENT | {name: value}
    if value is ...:
        del bad[name]
    made = structured(EVENT, bad)
    assert events_of(made) == [OURS, bad]
    assert codes_of(made) == {1: "INVALID_EVENT"}
    assert name in made.refused[1].detail


def test_another_version_is_refused():
    assert codes_of(structured(EVENT | {"specversion": "0.3"})) == {0: "INVALID_EVENT"}


def test_what_is_no_object_is_refused():
    assert codes_of(translated(b"[1, null]")) == {0: "INVALID_EVENT", 1: "INVALID_EVENT"}


def test_a_field_that_the_unit_names_is_the_quantity():
    named = {"calls": frozenset({"tokens"})}
    used = EVENT | {"data": {"tokens": 40}}
    assert events_of(structured(used, value_fields=named))[0]["quantity"] == 40
    missing = structured(EVENT | {"data": {"model": "large"}}, value_fields=named)
    assert codes_of(missing) == {0: "MISSING_FIELD"}


@pytest.mark.parametrize("body", [b"", b"  ", b"{", b'"text"', b"[1", b"\xff"])
def test_a_body_of_another_shape_is_unreadable(body):
    with pytest.raises(Unreadable):
        translated(body)


@pytest.mark.parametrize("body", [b"{", b"1, 2", b"\xff"])
def test_binary_data_that_is_no_json_is_unreadable(body):
    with pytest.raises(Unreadable):
        binary(body, **HEADERS)


def test_who_does_not_say_cloudevents_speaks_our_format():
    assert not cloudevents.is_spoken("application/json", {})
    assert cloudevents.is_spoken("application/json", {"ce-specversion": "1.0"})
    assert untranslated(b'{"customerId": "a"}').refused == {}
