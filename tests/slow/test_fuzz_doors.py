"""Whatever comes in at the doors beside the ingest routes: a clear answer, never a 500."""

import json
from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.models import DeadLetter, InboxBatch
from tests.factories import WebhookSourceFactory
from tests.metering.conftest import fresh_process, no_wakes, seller
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import sign
from webhooks.models import WebhookDelivery
from webhooks.services.counting import map_delivery
from webhooks.services.mappings import replace_rules

__all__ = ["fresh_process", "no_wakes", "seller"]
pytestmark = pytest.mark.slow

often = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from(["1e1000000", "-0", "1e-400", "NaN", "1" * 5000, "1e99999999999999999999"])
)
WORDS = ("cust_1", "calls", "tokens", "1.0", "1773572400", "2026-03-15T11:00:00Z", "sk_live_x")
texts = st.text(max_size=20) | st.sampled_from(WORDS)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def like(**fields):
    """An object with some of these fields replaced, dropped or joined by others."""
    changes = st.dictionaries(st.sampled_from(sorted(fields)) | texts, values, max_size=3)
    dropped = st.sets(st.sampled_from(sorted(fields)), max_size=2)
    return st.builds(
        lambda more, without: {
            name: value for name, value in (fields | more).items() if name not in without
        },
        changes,
        dropped,
    )


CLOUD = like(
    specversion="1.0", id="1", source="/s", type="calls", subject="cust_1", data={"value": 1}
)
LAGO = like(
    transaction_id="1",
    external_subscription_id="cust_1",
    code="calls",
    timestamp=1773572400,
    properties={"value": 1},
)
STRIPE = like(
    event_name="calls",
    identifier="1",
    timestamp="1773572400",
    payload={"stripe_customer_id": "cust_1", "value": "1"},
)
COST = like(
    kind="OTHER", amount="1.5", currency="USD", customerId="cust_1", idempotencyKey="1", metadata={}
)
PUSH = like(customer="cust_1", metric="calls", quantity=1, at=1773572400, id="1")
DOORS = [
    ("/v1/ingest/batch", "application/cloudevents-batch+json", st.lists(CLOUD, max_size=3)),
    ("/v1/ingest", "application/cloudevents+json", CLOUD),
    ("/compat/openmeter/api/v1/events", "application/json", CLOUD | st.lists(CLOUD, max_size=3)),
    ("/compat/lago/api/v1/events", "application/json", like(event=1) | st.builds(dict, event=LAGO)),
    (
        "/compat/lago/api/v1/events/batch",
        "application/json",
        st.builds(dict, events=st.lists(LAGO, max_size=3) | values),
    ),
    ("/compat/stripe/v2/billing/meter_events", "application/json", STRIPE),
    ("/v1/ingest/cogs", "application/json", COST | st.builds(dict, events=st.lists(COST) | values)),
]


def spelled(value):
    """JSON as careless clients write it: NaN, numbers that are longer than any type."""
    text = json.dumps(value)
    for word in ("1e1000000", "-0", "1e-400", "1" * 5000, "1e99999999999999999999"):
        text = text.replace(f'"{word}"', word)
    return text.encode()


def assert_answered(seller, answer):
    assert answer.status_code < 500, answer.content
    if answer.status_code != 204:
        assert json.loads(answer.content)
    seller.drain()
    assert InboxBatch.objects.count() == 0
    assert not DeadLetter.objects.filter(code__in=["UNPROCESSABLE", "UNREADABLE_BATCH"]).exists()


def send(seller, path, content_type, body):
    return seller.client.post(
        path,
        data=body,
        content_type=content_type,
        headers={"Authorization": f"Bearer {seller.token}"},
    )


@pytest.mark.parametrize(("path", "content_type", "bodies"), DOORS, ids=lambda part: str(part)[:40])
@often
@given(drawn=st.data())
def test_odd_bodies_are_answered_and_drained(seller, path, content_type, bodies, drawn):
    body = drawn.draw(bodies.map(spelled) | values.map(spelled) | st.binary(max_size=40))
    assert_answered(seller, send(seller, path, content_type, body))


@often
@given(
    fields=st.dictionaries(
        st.sampled_from(["event_name", "identifier", "timestamp", "payload[value]", "payload[x]"])
        | texts,
        texts,
        max_size=6,
    )
)
def test_odd_forms_are_answered_and_drained(seller, fields):
    whole = {"event_name": "calls", "payload[stripe_customer_id]": "cust_1"} | fields
    body = urlencode(whole, errors="surrogatepass").encode()
    path = "/compat/stripe/v1/billing/meter_events"
    assert_answered(seller, send(seller, path, "application/x-www-form-urlencoded", body))


@often
@given(
    attributes=st.dictionaries(
        st.sampled_from(["id", "source", "type", "subject", "time", "specversion", "region"]),
        st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S"]), max_size=10),
    ),
    data=st.binary(max_size=30) | values.map(spelled),
    kind=st.sampled_from(["application/json", "text/plain", "", "a/b+json"]),
)
def test_odd_binary_events_are_answered_and_drained(seller, attributes, data, kind):
    whole = {"specversion": "1.0", "id": "1", "source": "s", "type": "calls", "subject": "cust_1"}
    answer = seller.client.generic(
        "POST",
        "/v1/ingest",
        data,
        content_type=kind,
        headers={f"ce-{name}": value for name, value in (whole | attributes).items()}
        | {"Authorization": f"Bearer {seller.token}"},
    )
    assert_answered(seller, answer)


@pytest.fixture
def sources(seller):
    """One with plain paths, one with rules that look into a list."""
    plain, ruled = (
        WebhookSourceFactory(
            tenant=seller.tenant,
            customer_id_path="$..customer",
            metric_key_path="$.metric",
            quantity_path="$.quantity",
            timestamp_path="$.at",
            event_id_path="$.id",
            rate_limit=1_000_000,
        )
        for _ in range(2)
    )
    rule = Rule(
        items="$.lines|$.metadata",
        customer="@.customer|$..customer",
        customer_default="cust_1",
        metric="$.metric",
        metric_default="calls",
        quantity="$.quantity|@.quantity",
        quantity_scale=Decimal("0.01"),
        occurred_at="$.at",
        event_key="@.id",
        metadata={"all": "$..*", "unit": "@"},
    )
    replace_rules(ruled, [rule, replace(rule, items="", quantity="")])
    return plain, ruled


@often
@given(
    body=(PUSH | st.lists(PUSH, max_size=3) | values).map(spelled) | st.binary(max_size=40),
    which=st.sampled_from([0, 1]),
)
def test_odd_pushes_are_answered_mapped_and_drained(seller, sources, body, which):
    source = sources[which]
    answer = seller.client.post(
        f"/v1/ingest/webhook/{source.pk}",
        data=body,
        content_type="application/json",
        headers={"X-Hub-Signature-256": sign(source.secret, body)},
    )
    waiting = WebhookDelivery.objects.filter(verdict="RECEIVED")
    for delivery_id in list(waiting.values_list("pk", flat=True)):
        assert map_delivery(delivery_id=delivery_id, now=timezone.now()) is not None
    assert not waiting.exists()
    assert_answered(seller, answer)
