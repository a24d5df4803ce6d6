"""Whatever comes in at the ingest door: a clear answer, never a 500, and a drain that goes on."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.models import DeadLetter, InboxBatch, Receipt
from tests.factories import BillableUnitFactory, RatePlanVersionFactory
from tests.metering.conftest import fresh_process, no_wakes, seller, subscribe
from tests.metering.events import batch, event

__all__ = ["fresh_process", "no_wakes", "seller"]
pytestmark = pytest.mark.slow

often = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FIELDS = (
    "customerId",
    "metricName",
    "quantity",
    "occurredAt",
    "idempotencyKey",
    "productType",
    "sessionId",
    "traceId",
    "metadata",
    "apiKey",
    "extra",
    "\\u0061",
    "agentId",
    "toolName",
    "customer_id",
    "event",
    "metricKey",
    "metric_id",
    "value",
    "timestamp",
    "properties",
    "tenantId",
    "eventType",
    "trace",
    "tool_name",
    "measurements",
    "correlationId",
    "dimensionKey",
)
DOORS = (
    "/v1/ingest",
    "/v1/ingest/batch",
    "/v1/events",
    "/v1/meter",
    "/api/v1/ingest/compound",
    "/api/v1/ingest/compound/batch",
)
ENCODINGS = ("gzip", "deflate", "lz4", "zstd")
WORDS = ("cust_1", "cust_2", "calls", "users", "user", "tokens", "key-1", "sk_live_x", "alias:")
TIMES = ("2026-03-15T11:00:00Z", "2026-03-15T11:00:00", "0001-01-01T00:00:00+14:00", "\\ud800")
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from(["1e1000000", "-0", "1e-400", "NaN", "1" * 5000, "1e99999999999999999999"])
)
texts = st.text(max_size=30) | st.sampled_from(WORDS + TIMES)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
events_like = st.dictionaries(st.sampled_from(FIELDS) | texts, values, max_size=8)
changed_events = events_like.map(lambda fields: event(1) | fields)
bodies = (
    values
    | changed_events
    | st.lists(changed_events | events_like | values, max_size=6)
    | st.builds(lambda several: {"events": several}, st.lists(changed_events, max_size=6) | values)
)


def spelled(value):
    """JSON as careless clients write it: surrogates as they are, NaN, numbers out of texts."""
    text = json.dumps(value, ensure_ascii=True)
    for word in ("1e1000000", "-0", "1e-400", "1" * 5000, "1e99999999999999999999"):
        text = text.replace(f'"{word}"', word)
    return text.replace("\\\\ud800", "\\ud800").encode()


measurements = st.dictionaries(
    st.sampled_from(["metricName", "quantity", "dimensionKey", "metadata", "idempotencyKey"]),
    values | st.sampled_from(["calls", "tokens", 1, "2"]),
    max_size=4,
)
compounds = st.builds(
    lambda fields, several: fields | {"customerId": "cust_1", "measurements": several},
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
    st.lists(measurements, max_size=4) | values,
)


@st.composite
def damaged_bodies(draw):
    """A good body in which a few bytes were lost, doubled or changed."""
    body = batch(event(1, metadata={"a": ["\U0001f600", "\\", 1.5]}), event(2, traceId="é"))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    return body


@pytest.fixture
def picky(seller):
    """A seller of units that look inside of events: `users` of `cust_2`."""
    condition = {"field": "amount", "operator": "LESS_THAN", "value": "5"}
    units = [
        BillableUnitFactory(
            tenant=seller.tenant, name="users", aggregation="UNIQUE", event_field="user"
        ),
        BillableUnitFactory(
            tenant=seller.tenant,
            name="small",
            source_metric="users",
            filter_conditions=[condition],
        ),
    ]
    terms = {"model": "PER_UNIT", "rate": "0.1"}
    prices = dict.fromkeys(units, terms)
    version = RatePlanVersionFactory(tenant=seller.tenant, prices=prices, published=True)
    subscribe(seller.tenant, "cust_2", version)
    return seller


def assert_answered(seller, body, **headers):
    before = Receipt.objects.count()
    answer = seller.post(body, **headers)
    assert answer.status_code in {202, 400, 413, 422}, answer.content
    assert json.loads(answer.content)
    waiting = InboxBatch.objects.count()
    seller.drain()
    assert InboxBatch.objects.count() == 0
    assert Receipt.objects.count() == before + waiting
    # A refusal has a name: what nobody thought of would be found here.
    assert not DeadLetter.objects.filter(code__in=["UNPROCESSABLE", "UNREADABLE_BATCH"]).exists()


@often
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_answered(seller, body):
    assert_answered(seller, body)


@often
@given(body=bodies.map(spelled), path=st.sampled_from(DOORS))
def test_arbitrary_json_is_answered_and_drained(seller, body, path):
    assert_answered(seller, body, path=path)


@often
@given(body=st.lists(compounds, max_size=3).map(spelled), path=st.sampled_from(DOORS))
def test_arbitrary_compounds_are_answered_and_drained(seller, body, path):
    assert_answered(seller, body, path=path)


@often
@given(body=st.binary(max_size=200), encoding=st.sampled_from(ENCODINGS), cut=st.integers(0, 60))
def test_arbitrary_compressed_bodies_are_answered(seller, body, encoding, cut):
    assert_answered(seller, body, **{"Content-Encoding": encoding})
    damaged = gzip.compress(batch(event(1)))
    damaged = damaged[:cut] + body + damaged[cut:]
    assert_answered(seller, damaged, **{"Content-Encoding": encoding})


@often
@given(body=damaged_bodies())
def test_damaged_bodies_are_answered_and_drained(seller, body):
    assert_answered(seller, body)


@often
@given(body=changed_events.map(spelled), key=st.text(st.characters(codec="latin-1"), max_size=20))
def test_arbitrary_headers_are_answered(seller, body, key):
    printable = "".join(character for character in key if character.isprintable())
    for name in ("Idempotency-Key", "traceparent", "x-trace-id"):
        assert_answered(seller, body, **{name: printable})


@often
@given(
    metadata=st.dictionaries(st.sampled_from(["user", "amount"]) | texts, values, max_size=4),
    fields=st.dictionaries(st.sampled_from(FIELDS), values, max_size=2),
)
def test_units_that_look_inside_find_anything_there(picky, metadata, fields):
    whole = {"customerId": "cust_2", "metricName": "users", "metadata": metadata} | fields
    assert_answered(picky, spelled(event(1, **whole)))
