"""Which column becomes which field, and which key a row gets that brings none."""

import msgspec
import pytest

from aforo.errors import Refused
from metering.uploads.mapping import ColumnMapping

LOADGEN = [
    "event_id",
    "event_timestamp",
    "tenant_id",
    "customer_id",
    "subscription_id",
    "product_type",
    "metric_id",
    "quantity",
]
PLAIN = {"customerId": "acme", "metricName": "calls", "quantity": "1"}


def event(row, *, told=None, number=1, **defaults):
    mapping = ColumnMapping(told or {}, file_digest="5f", **defaults)
    return msgspec.json.decode(mapping.event(row, number))


def raw(text):
    return msgspec.Raw(text.encode())


def test_columns_go_by_many_names():
    assert dict(ColumnMapping({}).plan(LOADGEN).fields) == {
        "event_id": "idempotencyKey",
        "event_timestamp": "occurredAt",
        "customer_id": "customerId",
        "product_type": "productType",
        "metric_id": "metricName",
        "quantity": "quantity",
    }
    assert ColumnMapping({}).plan(LOADGEN).others == ("tenant_id", "subscription_id")


def test_the_own_name_of_a_field_is_preferred_and_the_other_column_is_metadata():
    row = {"timestamp": "2026-03-01", "occurredAt": "2026-03-02T00:00:00Z", **PLAIN}
    found = event(row)
    assert found["occurredAt"] == "2026-03-02T00:00:00Z"
    assert found["metadata"] == {"timestamp": "2026-03-01"}


def test_a_column_that_is_told_is_taken_and_its_likeness_is_not():
    row = {"customer_id": "internal 7", "account": "acme", "metric": "calls", "quantity": "1"}
    found = event(row, told={"customerId": "account"})
    assert found["customerId"] == "acme"
    assert found["metadata"] == {"customer_id": "internal 7"}


def test_a_field_may_be_told_to_come_from_no_column():
    row = {"customer": "acme", "metric": "calls", "value": "9", "time": "2026-03-01T00:00:00Z"}
    found = event(row, told={"quantity": "", "occurredAt": ""})
    assert found["quantity"] == 1
    assert "occurredAt" not in found
    assert found["metadata"] == {"value": "9", "time": "2026-03-01T00:00:00Z"}


def test_defaults_stand_in_where_a_row_says_nothing():
    row = {"customerId": " ", "metricName": "", "quantity": "1"}
    found = event(row, default_metric="calls", default_customer="acme")
    assert (found["customerId"], found["metricName"]) == ("acme", "calls")
    assert event(PLAIN, default_metric="tokens")["metricName"] == "calls"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1772323200000", 1772323200000),
        ("1772323200000.5", 1772323200000.5),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        (" 2026-03-01 10:00:00 ", "2026-03-01 10:00:00"),
        ("007", "007"),
        ("1e400", "1e400"),
    ],
)
def test_times_of_cells_are_spelled_as_events_spell_them(cell, expected):
    assert event({**PLAIN, "occurredAt": cell})["occurredAt"] == expected


def test_values_of_json_stay_as_they_are():
    row = {
        "customerId": raw('"acme"'),
        "metricName": raw('"calls"'),
        "quantity": raw("1.10"),
        "occurredAt": raw("null"),
        "metadata": raw('{"model": "large", "n": 1.50}'),
        "region": raw('"eu"'),
        "model": raw('"small"'),
    }
    encoded = ColumnMapping({}, file_digest="5f").event(row, 3)
    assert b'"quantity":1.10' in encoded
    assert b'"n":1.50' in encoded
    assert msgspec.json.decode(encoded) == {
        "customerId": "acme",
        "metricName": "calls",
        "quantity": 1.1,
        "idempotencyKey": "file:5f:3:calls",
        "metadata": {"region": "eu", "model": "large", "n": 1.5},
    }


def test_metadata_in_a_cell_is_an_object_or_refused_later():
    assert event({**PLAIN, "metadata": '{"a": 1}', "b": "2"})["metadata"] == {"a": 1, "b": "2"}
    assert event({**PLAIN, "metadata": '{"a": ', "b": "2"})["metadata"] == '{"a": '


def test_the_key_of_a_row_follows_from_file_row_and_metric():
    assert event(PLAIN, number=8)["idempotencyKey"] == "file:5f:8:calls"
    assert event({**PLAIN, "event_id": "e-1"}, number=8)["idempotencyKey"] == "e-1"


@pytest.mark.parametrize(
    ("told", "defaults", "field"),
    [
        ({"customer": "a"}, {}, "mapping.customer"),
        ({"customerId": "absent"}, {}, "mapping.customerId"),
        ({}, {}, "mapping.customerId"),
        ({}, {"default_customer": "acme"}, "mapping.metricName"),
        ({}, {"default_customer": "acme", "default_metric": "calls"}, "mapping.quantity"),
    ],
)
def test_columns_that_give_no_event_are_refused_before_a_row_is_read(told, defaults, field):
    with pytest.raises(Refused) as refused:
        ColumnMapping(told, **defaults).require(["a", "b"])
    assert refused.value.code == "UNUSABLE_MAPPING"
    assert [error.field for error in refused.value.errors] == [field]


def test_defaults_and_counting_rows_need_no_column_at_all():
    mapping = ColumnMapping({"quantity": ""}, default_customer="acme", default_metric="calls")
    mapping.require(["a", "b"])
