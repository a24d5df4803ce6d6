"""The vendors' own clients, pointed at a running server by their base URL option alone."""

import re
from pathlib import Path

import httpx
import openmeter
import pytest
import requests
import stripe
import time_machine
from cloudevents.conversion import to_binary, to_json, to_structured
from cloudevents.http import CloudEvent
from corehttp.exceptions import ClientAuthenticationError, HttpResponseError
from lago_python_client import Client as Lago
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import BatchEvent, Event
from openmeter.models import Event as OpenMeterEvent

from catalog.models import Subscription
from metering.models import DeadLetter, UsageEvent
from tests.factories import NOW, BillableUnitFactory
from tests.metering.conftest import TOKEN, catalog_changed
from tests.metering.events import codes, outcomes

SECONDS = int(NOW.timestamp()) - 3600
AT = "2026-03-15T11:00:00Z"


@pytest.fixture
def live(transactional_db, live_server, seller):
    """The seller, served over a socket; `gpu` is a sum that names its field."""
    BillableUnitFactory(
        tenant=seller.tenant, name="gpu", aggregation="SUM", event_field="gpu_seconds"
    )
    catalog_changed(seller.tenant)
    seller.url = live_server.url
    return seller


def counted(seller):
    """Drain; (customer, metric, quantity, key) of each event, in the order of keys."""
    seller.drain()
    events = UsageEvent.objects.order_by("idempotency_key")
    return [
        (event.metric, str(event.quantity.normalize()), event.idempotency_key) for event in events
    ]


# --- CloudEvents ---------------------------------------------------------------------------


def cloud_event(number=1, **attributes):
    named = {"id": f"req-{number}", "source": "/gateway", "type": "calls", "subject": "cust_1"}
    return CloudEvent(named | {"time": AT} | attributes, {"path": "/search"})


@pytest.mark.parametrize("mode", [to_structured, to_binary])
@pytest.mark.parametrize("path", ["/v1/ingest", "/v1/ingest/events"])
def test_cloudevents_of_its_own_library(live, mode, path):
    headers, body = mode(cloud_event(region="eu"))
    headers |= {"Authorization": f"Bearer {TOKEN}"}

    first = requests.post(live.url + path, data=body, headers=headers, timeout=10)
    again = requests.post(live.url + path, data=body, headers=headers, timeout=10)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["accepted"] == 1
    assert counted(live) == [("calls", "1", "/gateway req-1")]
    assert outcomes() == {"counted": 1, "duplicates": 1}
    assert '"region":"eu"' in UsageEvent.objects.get().metadata


def test_cloudevents_in_a_batch(live):
    events = [cloud_event(1), cloud_event(2, type="nobody.counts.it"), cloud_event(3)]
    body = b"[" + b",".join(to_json(event) for event in events) + b"]"
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/cloudevents-batch+json; charset=utf-8",
    }

    answer = requests.post(f"{live.url}/v1/ingest/batch", data=body, headers=headers, timeout=10)

    assert answer.status_code == 202
    assert [(error["index"], error["code"]) for error in answer.json()["errors"]] == [
        (1, "UNKNOWN_METRIC")
    ]
    assert [key for _, _, key in counted(live)] == ["/gateway req-1", "/gateway req-3"]


# --- OpenMeter -----------------------------------------------------------------------------


@pytest.fixture
def meter(live):
    with openmeter.Client(endpoint=f"{live.url}/compat/openmeter", token=TOKEN) as client:
        yield client


def open_meter_event(number=1, **fields):
    whole = {
        "id": f"req-{number}",
        "source": "my-app",
        "specversion": "1.0",
        "type": "gpu",
        "subject": "cust_1",
        "time": NOW,
        "data": {"gpu_seconds": "1.5"},
    }
    return OpenMeterEvent(**whole | fields)


def test_openmeter_sends_one_event_and_many(live, meter):
    meter.events.ingest_event(open_meter_event(1))
    meter.events.ingest_events([open_meter_event(1), open_meter_event(2), open_meter_event(3)])

    assert [row[:2] for row in counted(live)] == [("gpu", "1.5")] * 3
    assert outcomes() == {"unbilled": 3, "duplicates": 1}


def test_openmeter_loses_no_good_event_to_a_bad_one(live, meter):
    meter.events.ingest_events([open_meter_event(1, type="unknown"), open_meter_event(2)])

    assert len(counted(live)) == 1
    assert codes() == ["UNKNOWN_METRIC"]


def test_openmeter_hears_of_a_refusal_and_of_a_wrong_key(live, meter):
    with pytest.raises(HttpResponseError) as refused:
        meter.events.ingest_event(open_meter_event(1, type="unknown"))
    assert refused.value.status_code == 422
    with (
        openmeter.Client(endpoint=f"{live.url}/compat/openmeter", token="sk_test_no") as stranger,
        pytest.raises(ClientAuthenticationError),
    ):
        stranger.events.ingest_event(open_meter_event(1))


# --- Lago ----------------------------------------------------------------------------------


@pytest.fixture
def lago(live):
    return Lago(api_key=TOKEN, api_url=f"{live.url}/compat/lago/")


def lago_event(number=1, **fields):
    whole = {
        "transaction_id": f"tx-{number}",
        "external_subscription_id": "cust_1",
        "code": "gpu",
        "timestamp": SECONDS,
        "precise_total_amount_cents": None,
        "properties": {"gpu_seconds": 2.5},
    }
    return Event(**whole | fields)


def test_lago_sends_one_event(live, lago):
    told = lago.events.create(lago_event())
    lago.events.create(lago_event())

    assert (told.transaction_id, told.code, told.external_subscription_id) == (
        "tx-1",
        "gpu",
        "cust_1",
    )
    assert told.timestamp == "2026-03-15T11:00:00+00:00"
    assert told.properties == {"gpu_seconds": 2.5}
    assert counted(live) == [("gpu", "2.5", "tx-1")]
    assert outcomes() == {"unbilled": 1, "duplicates": 1}
    batch = httpx.get(
        f"{live.url}/v1/ingest/batches/{told.lago_id}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert batch.json()["status"] == "DONE"


def test_lago_sends_batches(live, lago):
    lago.events.batch_create(
        BatchEvent(events=[lago_event(1), lago_event(2, code="unknown"), lago_event(3)])
    )

    assert counted(live) == [("gpu", "2.5", "tx-1"), ("gpu", "2.5", "tx-3")]
    (letter,) = DeadLetter.objects.all()
    assert letter.code == "UNKNOWN_METRIC"
    assert b'"tx-2"' in bytes(letter.event)
    assert b'"gpu_seconds":2.5' in bytes(letter.event)


def test_lago_may_name_our_own_subscription(live, lago):
    subscription = Subscription.objects.get(tenant=live.tenant)
    lago.events.create(lago_event(external_subscription_id=str(subscription.pk), code="calls"))

    assert counted(live) == [("calls", "1", "tx-1")]
    assert UsageEvent.objects.get().customer_id == subscription.customer_id


def test_lago_hears_of_refusals_in_its_own_words(live, lago):
    with pytest.raises(LagoApiError) as refused:
        lago.events.create(lago_event(code="unknown"))
    assert refused.value.status_code == 422
    assert refused.value.response["code"] == "validation_errors"
    assert refused.value.response["error_details"]["code"][0] == "unknown_metric"

    with pytest.raises(LagoApiError) as unmeasured:
        lago.events.batch_create(BatchEvent(events=[lago_event(properties={"model": "large"})]))
    details = unmeasured.value.response["error_details"]
    assert details["0"]["properties"][0] == "missing_field"

    stranger = Lago(api_key="sk_test_no", api_url=f"{live.url}/compat/lago/")
    with pytest.raises(LagoApiError) as unknown:
        stranger.events.create(lago_event())
    assert unknown.value.status_code == 401


# --- Stripe --------------------------------------------------------------------------------


def stripe_client(live, key=TOKEN):
    base = f"{live.url}/compat/stripe"
    return stripe.StripeClient(key, base_addresses={"api": base, "meter_events": base})


def meter_event(number=1, **fields):
    return {
        "event_name": "tokens",
        "identifier": f"id-{number}",
        "payload": {"stripe_customer_id": "cust_1", "value": "25"},
    } | fields


def test_stripe_sends_one_event(live):
    client = stripe_client(live)
    told = client.v1.billing.meter_events.create(meter_event(timestamp=SECONDS))
    client.v1.billing.meter_events.create(meter_event(timestamp=SECONDS))

    assert told.object == "billing.meter_event"
    assert (told.event_name, told.identifier, told.timestamp) == ("tokens", "id-1", SECONDS)
    assert told.payload["value"] == "25"
    assert told.livemode is False
    assert counted(live) == [("tokens", "25", "id-1")]
    assert outcomes() == {"counted": 1, "duplicates": 1}


def test_stripe_without_an_identifier_counts_a_retried_request_once(live):
    client = stripe_client(live)
    event = {name: value for name, value in meter_event().items() if name != "identifier"}
    for _ in range(2):
        client.v1.billing.meter_events.create(event, options={"idempotency_key": "retry-1"})
    client.v1.billing.meter_events.create(event)

    assert len(counted(live)) == 2
    assert outcomes() == {"counted": 2, "duplicates": 1}


def test_stripe_sends_one_event_by_its_second_api(live):
    told = stripe_client(live).v2.billing.meter_events.create(meter_event(timestamp=AT))

    assert (told.object, told.identifier) == ("v2.billing.meter_event", "id-1")
    assert counted(live) == [("tokens", "25", "id-1")]


def test_stripe_streams_events_in_a_session(live):
    session = stripe_client(live).v2.billing.meter_event_session.create()
    stream = stripe_client(live, session.authentication_token)
    stream.v2.billing.meter_event_stream.create(
        {"events": [meter_event(1), meter_event(2, payload={"value": "1"}), meter_event(3)]}
    )

    assert session.livemode is False
    assert [key for _, _, key in counted(live)] == ["id-1", "id-3"]
    assert codes() == ["INVALID_EVENT"]
    assert b'"id-2"' in bytes(DeadLetter.objects.get().event)


def test_stripe_hears_of_refusals_in_its_own_words(live):
    client = stripe_client(live)
    with pytest.raises(stripe.InvalidRequestError, match="no billable unit") as refused:
        client.v1.billing.meter_events.create(meter_event(event_name="unknown"))
    assert refused.value.code == "unknown_metric"
    with pytest.raises(stripe.AuthenticationError):
        stripe_client(live, "sk_test_no").v1.billing.meter_events.create(meter_event())
    with pytest.raises(stripe.StripeError) as stranger:
        stripe_client(live).v2.billing.meter_event_stream.create({"events": [meter_event()]})
    assert stranger.value.http_status == 401


# --- the page that says so -----------------------------------------------------------------


@time_machine.travel(NOW)  # the clients write the time themselves
def test_the_page_for_those_who_migrate_works_as_it_is(live):
    page = (Path(__file__).parents[3] / "docs/migrating.md").read_text()
    namespace = {"__name__": "migrating"}
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(block, namespace)
    namespace |= {"AFORO": live.url, "METERING_KEY": TOKEN}

    sends = [act for name, act in namespace.items() if name.startswith("send_")]
    for send in sends:
        send()

    assert len(sends) == 4
    assert [key for _, _, key in counted(live)] == [
        "/gateway req-1",
        "my-app req-2",
        "req-3",
        "req-4",
        "req-5",
    ]
    assert outcomes() == {"counted": 5, "duplicates": 1}
