"""Stripe's meter events become ours."""

from urllib.parse import urlencode

import msgspec
import pytest

from aforo.errors import Unreadable
from metering.compat import stripe
from tests.metering.compat.translated import codes_of, events_of

EVENT = {
    "event_name": "tokens",
    "identifier": "id-1",
    "timestamp": "2026-03-15T11:00:00Z",
    "payload": {"stripe_customer_id": "cus_1", "value": "25", "model": "large"},
}
OURS = {
    "customerId": "cus_1",
    "metricName": "tokens",
    "quantity": "25",
    "metadata": EVENT["payload"],
    "idempotencyKey": "id-1",
    "occurredAt": "2026-03-15T11:00:00Z",
}


def stream(*events, value_fields=None):
    return stripe.stream(msgspec.json.encode({"events": events}), value_fields=value_fields or {})


def form(**fields):
    return stripe.form(urlencode(fields).encode(), value_fields={})


def test_a_form_is_one_of_ours():
    made = form(
        **{
            "event_name": "tokens",
            "payload[stripe_customer_id]": "cus_1",
            "payload[value]": "25",
            "payload[model]": "large",
            "identifier": "id-1",
            "timestamp": "1773572400",
        }
    )
    assert events_of(made) == [OURS | {"occurredAt": "2026-03-15T11:00:00+00:00"}]


def test_json_is_one_of_ours():
    assert events_of(stripe.single(msgspec.json.encode(EVENT), value_fields={})) == [OURS]


def test_a_stream_is_an_array_of_them():
    assert events_of(stream(EVENT, EVENT)) == [OURS, OURS]


def test_identifier_and_timestamp_may_be_left_out():
    (made,) = events_of(stream({name: EVENT[name] for name in ("event_name", "payload")}))
    assert "idempotencyKey" not in made
    assert "occurredAt" not in made


def test_a_field_that_the_unit_names_is_the_quantity():
    tokens = EVENT | {"payload": EVENT["payload"] | {"tokens": "30"}}
    (made,) = events_of(stream(tokens, value_fields={"tokens": frozenset({"tokens"})}))
    assert made["quantity"] == "30"


@pytest.mark.parametrize(
    "bad", [{"event_name": ""}, {"payload": None}, {"payload": "x"}, {"payload": {"value": "1"}}]
)
def test_an_event_without_what_it_needs_is_refused_as_it_came(bad):
    made = stream(EVENT, EVENT | bad)
    assert events_of(made) == [OURS, EVENT | bad]
    assert codes_of(made) == {1: "INVALID_EVENT"}


@pytest.mark.parametrize("body", [b"", b"%ff=1", b"a=1&" * 1001])
def test_a_body_that_is_no_form_is_unreadable(body):
    with pytest.raises(Unreadable):
        stripe.form(body, value_fields={})
