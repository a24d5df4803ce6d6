"""A seller with a webhook source, and a way to push to it."""

from dataclasses import dataclass

import msgspec
import pytest
from django.test import TestCase
from django.utils import timezone

from aforo import valkey
from aforo.api.rates import RATES
from tests.factories import WebhookSourceFactory
from tests.metering.conftest import fresh_process, no_wakes, redis_down, seller
from webhooks.inbound.signatures import sign
from webhooks.models import WebhookDelivery
from webhooks.services import counting
from webhooks.services.deliveries import MAPPING

__all__ = ["fresh_process", "no_wakes", "redis_down", "seller"]


@dataclass
class Sender:
    source: object
    client: object

    @property
    def path(self):
        return f"/v1/ingest/webhook/{self.source.pk}"

    def push(self, payload, *, secret=None, path=None, **headers):
        """Push a payload, signed as senders do; `...` for a header leaves it out."""
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        timestamp = headers.get("X-Aforo-Timestamp")
        signature = sign(secret or self.source.secret, body, timestamp=timestamp)
        whole = {"X-Hub-Signature-256": f"sha256={signature}"} | headers
        return self.send(body, whole, path=path)

    def send(self, body, headers, *, path=None, content_type="application/json"):
        """Send a body as it is; what was asked for meanwhile is done."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            return self.client.post(
                path or self.path,
                data=body,
                content_type=content_type,
                headers={name: value for name, value in headers.items() if value is not ...},
            )

    def push_provider(self, signed):
        """Send what a provider has signed."""
        path = f"{self.path}?{signed.query}" if signed.query else self.path
        return self.send(signed.body, signed.headers, path=path, content_type=signed.content_type)


def map_all():
    """What the worker does with the pushes that wait."""
    waiting = WebhookDelivery.objects.filter(verdict="RECEIVED").order_by("id")
    for delivery_id in list(waiting.values_list("pk", flat=True)):
        with TestCase.captureOnCommitCallbacks(execute=True):
            counting.map_delivery(delivery_id=delivery_id, now=timezone.now())


def verdicts():
    return list(WebhookDelivery.objects.order_by("id").values_list("verdict", flat=True))


@pytest.fixture(autouse=True)
def asked_for(monkeypatch):
    """The ids of the pushes whose mapping was asked for; no broker is needed."""
    asked = []

    def note(name, **kwargs):
        assert name == MAPPING
        asked.append(kwargs["delivery_id"])

    for module in ("deliveries", "sweeping", "replays"):
        monkeypatch.setattr(f"webhooks.services.{module}.enqueue", note)
    return asked


@pytest.fixture(autouse=True)
def nothing_remembered(db):
    """Redis and the rates of this process as after a start."""
    client = valkey.client()
    for name in client.scan_iter("webhook:*"):
        client.delete(name)
    RATES._minutes.clear()


@pytest.fixture
def sender(seller):
    source = WebhookSourceFactory(
        tenant=seller.tenant,
        customer_id_path="$.customer_id",
        metric_key_path="$.metric_id",
        quantity_path="$.body.quantity",
        timestamp_path="$.event_timestamp",
    )
    return Sender(source, seller.client)
