"""Which events are mended and which are taken as they came."""

import json
from contextlib import suppress
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.errors import TooLarge, Unreadable
from metering.ingest import compounds, normalising
from metering.ingest.envelopes import EVENTS, METER, NATIVE
from metering.ingest.events import HEARTBEAT, KNOWN_FIELDS, Event, Refusal, decode_one, split
from metering.ingest.normalising import SECRET_FIELDS, Cover, is_suspect
from metering.ingest.opening import opened
from metering.ingest.translation import untranslated
from tests.metering.events import batch, event

TENANT = UUID(int=1)
TOKEN = "sk_live_" + "t" * 40


def open_(body, **cover):
    return opened(untranslated(body), Cover(TENANT, **cover))


def opened_events(*events, **cover):
    array, found = open_(batch(*events), **cover)
    assert len(found) == len(events)
    return msgspec.json.decode(array)


@pytest.fixture
def never_mended(monkeypatch):
    def mended(*_, **__):
        raise AssertionError("a plain batch must be decoded all at once")

    monkeypatch.setattr(normalising, "fold", mended)


PLAIN = [
    event(1, metadata={"region": "eu", "sessionId": "s-1"}),
    event(2, sessionId=None, agentId="a", toolName="t", traceId="x", productType="API"),
    event(3, occurredAt=1773574267068, idempotencyKey=None, metadata=None),
]


@pytest.mark.parametrize("envelope", [NATIVE, EVENTS, METER], ids=["native", "events", "meter"])
def test_plain_events_are_stored_byte_by_byte(never_mended, envelope):
    array, found = open_(batch(*PLAIN), envelope=envelope, token=TOKEN)
    assert array == msgspec.json.encode(PLAIN)
    assert all(isinstance(one, Event) for one in found)


def test_headers_of_a_request_do_not_slow_its_batch(never_mended):
    array, _ = open_(batch(*PLAIN), idempotency_key="header", trace_id="trace")
    assert array == msgspec.json.encode(PLAIN)


def test_a_name_of_theirs_counts_only_where_ours_is_absent_or_null():
    theirs = {"customer_id": "theirs", "metricKey": "theirs", "value": 9, "timestamp": 9}
    (kept,) = opened_events(event(1) | theirs)
    assert kept == event(1) | {"metadata": theirs}
    (taken,) = opened_events(event(1, customerId=None, metricName=None, quantity=None) | theirs)
    assert taken == event(1, customerId="theirs", metricName="theirs", quantity=9) | {
        "metadata": {"timestamp": 9}
    }


def test_of_two_names_for_one_field_the_first_of_the_table_counts():
    names = {"metric_name": "c", "metric_id": "b", "metricKey": "a", "event": "e"}
    (native,) = opened_events(event(1, metricName=...) | names)
    assert native["metricName"] == "a"
    assert native["metadata"] == {"metric_name": "c", "metric_id": "b", "event": "e"}
    (events,) = opened_events(event(1, metricName=...) | names, envelope=EVENTS)
    assert events["metricName"] == "e"


def test_properties_are_metadata_unless_there_is_some():
    (moved,) = opened_events(event(1, properties={"a": 1}, more=2))
    assert moved["metadata"] == {"more": 2, "a": 1}
    (kept,) = opened_events(event(1, properties={"a": 1}, metadata={"b": 2}))
    assert kept["metadata"] == {"properties": {"a": 1}, "b": 2}


def test_snake_case_of_agents_is_read_and_left_where_it_was():
    (one,) = opened_events(event(1, tool_name="search", session_id=7, agent_id="", trace_id=None))
    assert one == event(1, toolName="search") | {
        "metadata": {"tool_name": "search", "session_id": 7, "agent_id": "", "trace_id": None}
    }


def test_metadata_is_never_read_for_fields_of_an_event():
    inner = {"traceId": "t", "sessionId": "s", "tool_name": "x", "agent_id": "a"}
    (one,) = opened_events(event(1, metadata=inner, extra=1))
    assert one == event(1) | {"metadata": {"extra": 1} | inner}


@pytest.mark.parametrize("word", [*sorted(SECRET_FIELDS), "sk_live_x", "afo_x", "alias:x"])
@pytest.mark.parametrize("spell", [str, str.upper, str.title])
def test_the_quick_look_overlooks_no_credential(word, spell):
    assert is_suspect(b'{"metadata":{"a":[{"%s":1}]}}' % spell(word).encode())


@pytest.mark.parametrize("body", [b'{"task_":1}', b'{"note":"my secret"}', b'{"apiKeyId":1}'])
def test_a_hint_alone_is_no_credential(body):
    assert not is_suspect(body)


def test_a_cover_does_not_show_its_token():
    assert TOKEN not in repr(Cover(TENANT, token=TOKEN))


# --- whatever comes in ---------------------------------------------------------------------

NAMES = st.sampled_from(sorted({*METER.names, *EVENTS.names, *KNOWN_FIELDS, "measurements", "x"}))
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from([TOKEN, "alias:x", HEARTBEAT, "2026-01-01"]))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
    max_leaves=8,
)
EVENTS_OR_NOT = st.lists(st.dictionaries(NAMES, VALUES, max_size=8) | VALUES, max_size=4)


@given(
    EVENTS_OR_NOT,
    st.sampled_from([NATIVE, EVENTS, METER]),
    st.sampled_from([untranslated, compounds.split]),
    st.none() | TEXTS,
)
def test_the_drain_finds_what_the_door_found(values, envelope, translate, header):
    cover = Cover(TENANT, envelope, TOKEN, header, header)
    translation = translate(json.dumps(values).encode())
    array, found = opened(translation, cover)
    again = [decode_one(raw) for raw in split(array)]
    assert len(again) == len(found)
    for before, after in zip(found, again, strict=True):
        assert isinstance(before, Refusal) or before == after
    assert TOKEN.encode() not in array


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_is_no_json_is_refused_as_a_whole(body):
    for translate in (untranslated, compounds.split):
        with suppress(Unreadable, TooLarge):
            array, found = opened(translate(body), Cover(TENANT))
            assert len(split(array)) == len(found)
