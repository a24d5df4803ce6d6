"""Every kind of fact arrives as its schema says, and those about subscriptions are really told."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from aforo.outbox.checking import require_valid
from aforo.outbox.facts import facts
from aforo.outbox.services import publish
from aforo.tenancy.services.actors import Actor
from catalog.models import Subscription
from catalog.services.pauses import pause_subscription, resume_subscription
from catalog.services.plan_changes import change_offering, move_to_version, plans_at
from catalog.services.subscriptions import cancel_subscription
from catalog.services.suspensions import reinstate_subscription, suspend_subscription
from catalog.services.trials import convert_trial
from tests.catalog.services.conftest import sell, sold
from tests.factories import NOW, RatePlanVersionFactory, WebhookEndpointFactory
from webhooks.outbound.pump import carry_out

__all__ = ["sell", "sold"]


def now():
    return datetime.now(UTC)  # noqa: TID251 - receivers know no other


def arrived(receiver):
    return [(said["type"], said["data"]) for said in map(json.loads, receiver.bodies("/a"))]


@pytest.fixture
def actor():
    return Actor.system("tests")


@pytest.fixture
def endpoint(tenant, receiver):
    return WebhookEndpointFactory(tenant=tenant, url=f"{receiver.url}/a")


def test_every_kind_arrives_as_its_schema_says(endpoint, tenant, receiver):
    told = []
    for kind, fact in facts().items():
        own = {"endpointId": str(endpoint.pk)} if kind == "webhook_endpoint.test" else {}
        channels = {"channels": ["WEBHOOK"]} if kind == "alert.fired" else {}
        told.append((kind, {**fact.example, **own, **channels}))
        publish(tenant_id=tenant.pk, fact=kind, payload=told[-1][1], now=NOW)
    carry_out(now=now, seconds=60)
    assert arrived(receiver) == told
    for kind, payload in arrived(receiver):
        require_valid(kind, payload)


@pytest.mark.usefixtures("endpoint")
def test_whatever_becomes_of_a_subscription_arrives_in_order(sold, sell, actor, tenant, receiver):
    row = sold(sell(trial_days=60))
    doing = {"actor": actor, "now": NOW}

    def do(service, **fields):
        return service(subscription=Subscription.objects.get(), **doing, **fields)

    do(convert_trial)
    do(suspend_subscription)
    do(reinstate_subscription)
    for name in ("upgraded", "downgraded", "migrated"):
        do(change_offering, offering=sell(), fact=f"subscription.{name}")
    (pinned,) = plans_at(row, NOW + timedelta(hours=1))
    terms = {"rate_plan": pinned.version.rate_plan, "number": 2, "base_fee": 1, "published": True}
    do(move_to_version, version=RatePlanVersionFactory(tenant=tenant, **terms))
    do(change_offering, offering=sell(), fact="subscription.upgraded", when="PERIOD_END")
    do(pause_subscription)
    do(resume_subscription)
    do(cancel_subscription, when="PERIOD_END")
    do(cancel_subscription)
    carry_out(now=now, seconds=60)

    told = [kind.removeprefix("subscription.") for kind, _ in arrived(receiver)]
    steps = ["created", "trial_started", "activated", "trial_converted", "suspended", "activated"]
    for name in ("upgraded", "downgraded", "migrated", "moved_to_version", "upgraded"):
        steps += [name, "changed"]
    steps += ["paused", "resumed", "cancellation_scheduled", "cancelled"]
    assert told == steps
    for kind, payload in arrived(receiver):
        require_valid(kind, payload)
        assert payload["subscriptionId"] == str(row.pk)
