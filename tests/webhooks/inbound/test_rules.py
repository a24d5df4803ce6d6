"""Rules: from a payload to as many events as it tells of, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.ingest.events import Refusal
from webhooks.inbound.mapping import Headers, Paths, Reading, made_of
from webhooks.inbound.paths import InvalidPath, check
from webhooks.inbound.rules import Rule, is_of, moment, number_of

PLAIN = Rule(customer="$.who", metric="calls")


def made(payload, *rules, event_filter=(), metric=""):
    reading = Reading("s", Paths(default_metric=metric), rules=rules, event_filter=event_filter)
    return made_of(payload, reading, Headers())


def events(payload, *rules, **more):
    return list(made(payload, *rules, **more).events)


def quantity(value, **fields):
    rule = Rule(customer="c", metric="m", quantity="$.n", **fields)
    found = made({"n": value, "id": 1}, rule)
    return found.why.code if found.why else found.events[0]["quantity"]


@pytest.mark.parametrize(
    ("value", "scale", "counted"),
    [
        (1999, "0.01", "19.99"),
        ("127", "1", "127"),
        (Decimal("0.1"), "3", "0.3"),
        (" 2.50 ", "0.010000000000", "0.025"),
        (0, "0.01", "0"),
        (10**30, "0.000000000001", "1000000000000000000"),
        (-5, "1", "-5"),  # which the gate refuses
    ],
)
def test_quantities_are_scaled_exactly(value, scale, counted):
    found = quantity(value, quantity_scale=Decimal(scale))
    assert str(found) == counted


@given(cents=st.integers(0, 10**24))
def test_cents_are_units_to_the_last_digit(cents):
    assert quantity(cents, quantity_scale=Decimal("0.01")) * 100 == cents


@pytest.mark.parametrize("value", ["many", True, {}, [], "1e3", "0x1", "NaN", "\u0661"])
def test_what_is_no_number_is_refused(value):
    assert quantity(value) == "INVALID_QUANTITY"


def test_digits_that_cannot_be_kept_are_refused():
    assert quantity("1." + "3" * 99, quantity_scale=Decimal("0.123")) == "INVALID_QUANTITY"


def test_a_default_stands_in_where_there_is_nothing_and_is_not_scaled():
    assert quantity(None) == "MISSING_FIELD"
    assert quantity(None, quantity_default=Decimal(2), quantity_scale=Decimal("0.01")) == 2
    assert quantity(0, quantity_default=Decimal(2)) == 0


def test_texts_are_constants_and_paths_are_looked_up():
    rule = Rule(
        customer="$.missing",
        customer_default="house",
        metric="$.metric",
        metric_default="calls",
        quantity="3",
        metadata={"region": "eu", "model": "$.model", "none": "$.none", "list": "$.list"},
    )
    (event,) = events({"model": "large", "list": [1]}, rule)
    assert event["customerId"] == "house"
    assert (event["metricName"], event["quantity"]) == ("calls", 3)
    assert event["metadata"] == {"region": "eu", "model": "large"}
    assert events({"metric": "tokens"}, rule)[0]["metricName"] == "tokens"
    assert events({"who": "a"}, Rule(customer="$.who"), metric="of the source")


def test_a_path_may_name_alternatives():
    rule = Rule(customer="$.organization.login|$.owner.login", metric="m")
    assert events({"owner": {"login": "o"}}, rule)[0]["customerId"] == "o"
    both = {"owner": {"login": "o"}, "organization": {"login": "g"}}
    assert events(both, rule)[0]["customerId"] == "g"
    listed = Rule(items="$.lines", customer="@.who | $.who", metric="m")
    found = events({"who": "all", "lines": [{"who": "one"}, {}]}, listed)
    assert [one["customerId"] for one in found] == ["one", "all"]


@pytest.mark.parametrize("path", ["$.a|b", "$.a & $.b", "$.a[", "$..", "@|"])
def test_what_the_parser_does_not_read_for_good_is_no_path(path):
    with pytest.raises(InvalidPath):
        check(path)


LINES = {"id": "in_1", "who": "a", "lines": [{"id": "x", "n": 1}, {"n": 2}, {"n": 2}]}


@pytest.mark.parametrize("items", ["$.lines", "$.lines[*]"])
def test_a_list_in_a_payload_is_as_many_events(items):
    rule = Rule(items=items, customer="$.who", metric="m", quantity="@.n", event_key="@.id")
    found = events(LINES, rule)
    assert [one["quantity"] for one in found] == [1, 2, 2]
    keys = [one["idempotencyKey"] for one in found]
    assert keys == ["webhook:s:x:m", "webhook:s:in_1:m", "webhook:s:in_1:m:2"]
    assert events({"id": 1, "who": "a"}, rule) == []


def test_every_rule_of_the_type_makes_its_own_events():
    first = Rule(event_types=("used", "renewed.*"), customer="$.who", metric="one")
    second = Rule(customer="$.who", metric="two")
    payload = {"type": "used", "who": "a", "id": "e"}
    keys = [one["idempotencyKey"] for one in events(payload, first, second)]
    assert keys == ["webhook:s:e:one", "webhook:s:e:two"]
    assert events(payload, second)[0]["idempotencyKey"] == keys[1]  # whatever stands before it
    assert [one["metricName"] for one in events(payload | {"type": "other"}, first, second)] == [
        "two"
    ]


def test_of_one_payload_all_events_count_or_none():
    rule = Rule(items="$.lines", customer="$.who", metric="m", quantity="@.q")
    found = made({"who": "a", "lines": [{"q": 1}, {}]}, rule)
    assert (found.events, found.why) == (
        (),
        Refusal("MISSING_FIELD", "there is no quantity at @.q"),
    )


def test_what_the_filter_leaves_out_is_not_looked_into():
    assert made({"type": "other"}, PLAIN, event_filter=("used",)).why is None
    assert made({"type": "used"}, PLAIN, event_filter=("used",)).why is not None
    assert made("text", PLAIN).why is not None


@pytest.mark.parametrize(
    ("kind", "patterns", "is_one"),
    [("a.b", (), True), ("a.b", ("a.*",), True), ("a", ("a.*",), False), ("A", ("a",), False)],
)
def test_types_are_met_by_patterns(kind, patterns, is_one):
    assert is_of(kind, patterns) is is_one


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (1773572400, 1773572400000),
        ("1773572400", 1773572400000),
        ("1773572400.000200", Decimal("1773572400000.200000")),
        ("Sun, 15 Mar 2026 12:00:00 +0100", "2026-03-15T11:00:00+00:00"),
        ("Sun, 99 Mar 2026", "Sun, 99 Mar 2026"),
        ("Fri, 31 Dec 9999 23:59:59 -2300", "Fri, 31 Dec 9999 23:59:59 -2300"),
        ("2026-03-15T11:00:00Z", "2026-03-15T11:00:00Z"),
        (None, None),
        (True, True),
    ],
)
def test_times_are_read_as_senders_write_them(value, meant):
    assert moment(value) == meant


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_value_is_a_number_by_accident(value):
    number = number_of(value)
    assert number is None or str(value).strip().lstrip("-").replace(".", "").isdecimal()


@pytest.mark.parametrize("payload", [{"a": []}, {"a": "text"}, {"a": 1}, {"a": None}, {}])
@pytest.mark.parametrize("path", ["$.a[0].b", "$.a[*].b", "$.a.b.c", "$..b", "$.a[-1]"])
def test_a_path_into_another_shape_finds_nothing(payload, path):
    found = made(payload, Rule(customer=path, metric="m"))
    assert found.why is not None or found.events
