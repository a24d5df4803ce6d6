"""Each provider's documented payloads, signed as it signs them, through the door to events."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import lz4.frame
import pytest
from django.utils import timezone

from aforo.sealing import seal
from metering.models import InboxBatch
from tests.factories import WebhookSourceFactory
from tests.webhooks.conftest import Sender, map_all, verdicts
from tests.webhooks.inbound.providers import signers
from webhooks.models import WebhookDelivery
from webhooks.services.deliveries import address_of
from webhooks.services.mappings import replace_rules, template_of

PAYLOADS = Path(__file__).parent / "payloads"
TWILIO = "AC00000000000000000000000000000001"
SLACK = {"user": "U0001", "channel": "C0001"}
MINUTE = 60_000
AT = 1773572400000  # 2026-03-15 11:00:00 UTC, in milliseconds
JOB = {"repository": "acme/api", "workflow": "CI", "conclusion": "success"}
CALLER = {"from": "+15005550006", "to": "+15005550009"}
MESSAGE = {"message": "msg-1.filter0001"}


def event(metric, customer, quantity, occurred=None, metadata=None):
    return {
        "customerId": customer,
        "metricName": metric,
        "quantity": Decimal(quantity),
        **({} if occurred is None else {"occurredAt": occurred}),
        **({} if metadata is None else {"metadata": metadata}),
    }


# By payload: what each of its events is, in order.
EXPECTED = {
    "stripe_charge_succeeded": [
        event(
            "stripe_payments",
            "cus_Acme",
            "19.99",
            AT,
            {"currency": "usd", "charge": "ch_3Charge0001"},
        )
    ],
    "stripe_invoice_paid": [
        event(
            "stripe_invoices_paid",
            "cus_Acme",
            "2500.05",
            AT + MINUTE,
            {"currency": "eur", "invoice": "in_1Invoice0001"},
        )
    ],
    "stripe_subscription_updated": [
        event("stripe_seats", "cus_Acme", 12, AT + 2 * MINUTE, {"price": "price_seat"}),
        event("stripe_seats", "cus_Acme", 3, AT + 2 * MINUTE, {"price": "price_admin"}),
    ],
    "twilio_message_received": [
        event(
            "twilio_segments_received",
            TWILIO,
            2,
            None,
            {"from": "+15005550009", "to": "+15005550006"},
        )
    ],
    "twilio_message_delivered": [event("twilio_messages_delivered", TWILIO, 1, None, CALLER)],
    "twilio_call_completed": [
        event(
            "twilio_call_seconds",
            TWILIO,
            127,
            "2026-03-15T11:00:00+00:00",
            {"direction": "outbound-api"},
        )
    ],
    "twilio_event_stream": [
        event("twilio_messages_delivered", TWILIO, 1, "2026-03-15T11:00:00.000Z", CALLER)
    ],
    "sendgrid_delivery": [
        event("sendgrid_processed", "acme", 1, AT, MESSAGE),
        event("sendgrid_delivered", "acme", 1, AT + 5_000, MESSAGE),
    ],
    "sendgrid_engagement": [
        event("sendgrid_open", "acme", 1, AT + 100_000, MESSAGE),
        event("sendgrid_click", "acme", 1, AT + 110_000, MESSAGE),
    ],
    "sendgrid_bounce": [],
    "github_push": [
        event(
            "github_commits",
            "acme",
            1,
            "2026-03-15T11:00:00Z",
            {"repository": "acme/api", "ref": "refs/heads/main"},
        ),
        event(
            "github_commits",
            "acme",
            1,
            "2026-03-15T12:00:00+01:00",
            {"repository": "acme/api", "ref": "refs/heads/main"},
        ),
    ],
    "github_workflow_job_completed": [
        event("github_workflow_jobs", "acme", 1, "2026-03-15T11:00:00Z", JOB)
    ],
    "github_pull_request_closed": [
        event(
            "github_pull_requests",
            "acme",
            1,
            "2026-03-15T11:00:00Z",
            {"repository": "acme/api", "merged": True},
        )
    ],
    "slack_message": [event("slack_messages", "T0001", 1, AT, SLACK)],
    "slack_app_mention": [event("slack_mentions", "T0001", 1, AT + 1_000, SLACK)],
    "slack_slash_command": [
        event("slack_commands", "T0001", 1, None, {"command": "/weather", "user": "U0001"})
    ],
}


def provider_source(tenant, provider, secret, **fields):
    """A source with the template of its provider."""
    source = WebhookSourceFactory(tenant=tenant, provider=provider, **fields)
    source.sealed_secret = seal(
        secret.encode(), purpose="webhook signing secret", row=str(source.pk)
    )
    source.save()
    replace_rules(source, template_of(source))
    return source


def signed(name, source):
    """A payload as its provider sends it now."""
    raw = (PAYLOADS / f"{name}.json").read_bytes()
    provider, _, rest = name.partition("_")
    at = int(timezone.now().timestamp())
    if provider == "twilio":
        return signers.twilio(json.loads(raw), address=address_of(source.pk))
    if rest == "slash_command":
        form = urlencode(json.loads(raw)).encode()
        return signers.slack(form, at=at, content_type="application/x-www-form-urlencoded")
    if provider == "github":
        return signers.github(raw, event=rest.replace("_completed", "").replace("_closed", ""))
    return getattr(signers, provider)(raw, at=at)


def sent(seller, name, **fields):
    """Send a payload by a source of its provider; the answer."""
    provider = name.partition("_")[0].upper()
    source = provider_source(seller.tenant, provider, "to be told", **fields)
    push = signed(name, source)
    source = provider_source(seller.tenant, provider, push.secret, **fields)
    return Sender(source, seller.client).push_provider(signed(name, source))


def stored():
    """The events in the inbox, without their keys; every key is another."""
    events = [
        one
        for batch in InboxBatch.objects.order_by("id")
        for one in json.loads(lz4.frame.decompress(bytes(batch.body)), parse_float=Decimal)
    ]
    keys = [one.pop("idempotencyKey") for one in events]
    assert len(set(keys)) == len(keys)
    return [one | {"quantity": Decimal(one["quantity"])} for one in events]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_documented_payload_becomes_the_events_of_its_template(seller, name):
    answer = sent(seller, name)
    map_all()

    assert answer.status_code in {200, 202}, answer.content
    assert stored() == EXPECTED[name]
    assert verdicts() == ["ACCEPTED" if EXPECTED[name] else "FILTERED"]
    kept = lz4.frame.decompress(bytes(WebhookDelivery.objects.get().payload))
    assert b"XXYYZZ" not in kept


def test_the_metric_of_the_source_is_counted_if_it_has_one(seller):
    sent(seller, "stripe_charge_succeeded", metric="volume")
    map_all()
    assert [one["metricName"] for one in stored()] == ["volume"]


@pytest.mark.parametrize(
    "name",
    [
        "stripe_charge_succeeded",
        "twilio_message_received",
        "twilio_event_stream",
        "sendgrid_delivery",
        "github_push",
        "slack_message",
    ],
)
def test_a_forged_push_is_401_and_logged(seller, name):
    source = provider_source(seller.tenant, name.partition("_")[0].upper(), "to be told")
    push = signed(name, source)
    source = provider_source(seller.tenant, source.provider, push.secret)
    sender, push = Sender(source, seller.client), signed(name, source)
    forged = replace(push, body=push.body.replace(b"1", b"3", 1))
    other = replace(push, headers=signed(name, sender.source).headers | {push.signature_header: ""})
    answers = [sender.push_provider(one) for one in (forged, other)]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert {answer.json()["code"] for answer in answers} == {"BAD_SIGNATURE"}
    assert verdicts() == ["BAD_SIGNATURE"] * 2
    assert sender.push_provider(push).status_code < 300


@pytest.mark.parametrize("name", ["stripe_charge_succeeded", "sendgrid_delivery", "slack_message"])
@pytest.mark.parametrize("away", [-310, 310])
def test_a_push_of_another_time_is_401_and_logged(seller, name, away):
    raw, provider = (PAYLOADS / f"{name}.json").read_bytes(), name.partition("_")[0]
    push = getattr(signers, provider)(raw, at=int(timezone.now().timestamp()) + away)
    source = provider_source(seller.tenant, provider.upper(), push.secret)
    answer = Sender(source, seller.client).push_provider(push)
    assert (answer.status_code, answer.json()["code"]) == (401, "STALE")
    assert verdicts() == ["STALE"]


def test_slack_gets_its_challenge_back_and_nothing_is_counted(seller):
    answer = sent(seller, "slack_url_verification")
    map_all()
    assert answer.status_code == 200
    assert answer.json()["challenge"].startswith("3eZbrw")
    assert verdicts() == ["FILTERED"]


def test_twilio_gets_what_it_takes_for_an_answer(seller):
    answer = sent(seller, "twilio_message_received")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/xml")


def test_a_redelivery_counts_once_whatever_its_unsigned_headers_say(seller):
    source = provider_source(seller.tenant, "GITHUB", signers.github(b"").secret)
    sender = Sender(source, seller.client)
    push = signed("github_push", source)
    for delivery in ("a", "b"):
        push.headers["X-GitHub-Delivery"] = delivery
        sender.push_provider(push)
        map_all()
    assert verdicts() == ["ACCEPTED", "DUPLICATE"]


def test_stripe_may_tell_the_same_event_in_other_bytes(seller):
    """`pending_webhooks` counts down from one delivery to the next."""
    raw = (PAYLOADS / "stripe_charge_succeeded.json").read_bytes()
    at = int(timezone.now().timestamp())
    first = signers.stripe(raw, at=at)
    again = signers.stripe(raw.replace(b'"pending_webhooks": 1', b'"pending_webhooks": 0'), at=at)
    sender = Sender(provider_source(seller.tenant, "STRIPE", first.secret), seller.client)
    for push in (first, again):
        sender.push_provider(push)
    map_all()

    bodies = [lz4.frame.decompress(bytes(one.body)) for one in InboxBatch.objects.all()]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]  # key and all: for the ledger they are one


def test_the_templates_say_when_in_one_calendar():
    assert datetime.fromtimestamp(AT / 1000, UTC).isoformat() == "2026-03-15T11:00:00+00:00"
